"""When does a message come, and before which others? Delay and priority."""

from __future__ import annotations

import time

import pytest

from taskrouting.transport.messages import RELAYED_AT
from tests.conformance.installation import Installation, identities
from tests.conformance.places import CLASSIC, EMBEDDED, REDIS


def test_a_delayed_event_does_not_come_before_its_time(installation: Installation) -> None:
    """``delay`` is kept on every transport: what is published later without one comes first."""
    queue = installation.queue("video.#")
    with installation.taking(queue) as taker:
        began = time.monotonic()
        delayed = installation.publish("video.upload", delay=1)
        prompt = installation.send("video.upload")
        assert identities(taker.take_and_acknowledge()) == [prompt.id]

        assert identities(taker.take_and_acknowledge()) == [delayed.id]
        assert time.monotonic() - began >= 1


def test_the_outbox_is_emptied_by_priority(installation: Installation) -> None:
    """What waits in the database leaves it by priority, whatever the transport can do."""
    queue = installation.queue("video.#")
    low, middle, high = (installation.publish("video.upload", priority=n) for n in (0, 5, 9))
    installation.relay()

    with installation.taking(queue) as taker:
        arrivals = taker.take_and_acknowledge(3)
    if not installation.broker.can.embedded:
        arrivals.sort(key=lambda arrival: str(arrival.headers[RELAYED_AT]))
    assert identities(arrivals) == [high.id, middle.id, low.id]


@pytest.mark.parametrize("place", [*EMBEDDED, CLASSIC, REDIS], indirect=True)
def test_a_queue_hands_out_the_highest_priority_first(installation: Installation) -> None:
    """What waits in the queue itself is taken by priority, where the transport can do that.

    RabbitMQ can for a classic queue that is declared with ``x-max-priority``.
    """
    arguments = {CLASSIC: {"arguments": {"x-max-priority": 9}}}
    assert installation.broker.can.priority == (
        "arguments" if arguments.get(installation.name) else "always"
    )
    queue = installation.queue("video.#", **arguments.get(installation.name, {}))
    low = installation.send("video.upload", priority=0)
    high = installation.send("video.upload", priority=9)

    with installation.taking(queue, prefetch=1) as taker:
        assert identities(taker.take_and_acknowledge(1)) == [high.id]
        assert identities(taker.take_and_acknowledge(1)) == [low.id]
