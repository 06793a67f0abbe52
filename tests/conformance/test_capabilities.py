"""What does each transport say it can do? Where it cannot, other tests show what happens instead.

=================  ===============================================================================
flag               where its two sides are tested
=================  ===============================================================================
confirms           ``test_kept.py`` (no: a row waits for the consumer), here (yes: a nack)
routes             ``test_routing.py`` (no: we route, and choose alike)
lists_bindings     ``test_routing.py`` (no: what others bind is not seen)
shared, durable    ``test_surviving.py`` (no: what was lost is sent again from the outbox)
tells_redelivery   ``test_settling.py``
priority           ``test_order.py`` (no: the outbox is emptied by priority all the same)
tells_backlog      ``test_watch.py`` (no: nobody looks)
=================  ===============================================================================
"""

from __future__ import annotations

import pytest

from taskrouting.transport.capabilities import Capabilities, capabilities
from tests.conformance.installation import Installation, identities
from tests.conformance.places import RABBITMQ

AMQP = Capabilities(
    name="amqp", confirms=True, routes=True, shared=True, durable=True, tells_redelivery=True,
    priority="arguments", lists_bindings=False, embedded=False, tells_backlog=True,
)  # fmt: skip
DJANGO = Capabilities(
    name="django", confirms=False, routes=False, shared=True, durable=True, tells_redelivery=True,
    priority="always", lists_bindings=True, embedded=True,
)  # fmt: skip
REDIS = Capabilities(
    name="redis", confirms=False, routes=False, shared=True, durable=False, tells_redelivery=True,
    priority="always", lists_bindings=True, embedded=False, tells_backlog=True,
)  # fmt: skip
FILESYSTEM = Capabilities(
    name="filesystem", confirms=False, routes=False, shared=True, durable=False,
    tells_redelivery=True, priority="outbox", lists_bindings=True, embedded=False,
)  # fmt: skip
MEMORY = Capabilities(
    name="memory", confirms=False, routes=False, shared=False, durable=False,
    tells_redelivery=True, priority="outbox", lists_bindings=False, embedded=False,
)  # fmt: skip
SQS = Capabilities(
    name="sqs", confirms=False, routes=False, shared=True, durable=True, tells_redelivery=True,
    priority="outbox", lists_bindings=False, embedded=False,
)  # fmt: skip


@pytest.mark.parametrize("promised", [AMQP, DJANGO, REDIS, FILESYSTEM, MEMORY, SQS])
def test_a_transport_promises_what_was_tested(promised: Capabilities) -> None:
    """The flags are those that the other tests were written for."""
    assert capabilities(f"{promised.name}://") == promised


def test_a_transport_that_was_not_tested_promises_nothing() -> None:
    """Any transport of Kombu's may be used; ours is the cautious way, then."""
    assert capabilities("mongodb://localhost/") == Capabilities(
        name="mongodb", confirms=False, routes=False, shared=True, durable=False,
        tells_redelivery=False, priority="outbox", lists_bindings=False, embedded=False,
    )  # fmt: skip


@pytest.mark.parametrize("place", RABBITMQ, indirect=True)
def test_what_a_full_queue_refuses_waits_in_the_outbox(installation: Installation) -> None:
    """A nack is no failure: the row stays, and goes when there is room again."""
    queue = installation.queue("video.#", arguments={"x-max-length": 1})
    events = [installation.send("video.upload", number) for number in range(5)]
    assert installation.waiting().exists()

    with installation.taking(queue, prefetch=1) as taker:
        arrived = [identities(taker.take_and_acknowledge())[0] for _ in events]
    assert sorted(arrived) == sorted(event.id for event in events)
