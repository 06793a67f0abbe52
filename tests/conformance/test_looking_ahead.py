"""What does the relay hold while the broker is busy, and what becomes of it?"""

from __future__ import annotations

import pytest

from taskrouting import publish_many
from taskrouting.publishing import relay
from tests.conformance.installation import PATIENCE, Installation, identities
from tests.conformance.places import QUORUM
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("place", [QUORUM], indirect=True)

#: More than are claimed at once, twice over.
MANY = 2 * relay.BATCH + 100


def send_many(installation: Installation) -> set[str]:
    """Publish events that are not relayed yet; return their ids."""
    events = publish_many([("video.upload", number) for number in range(MANY)])
    return {event.id for event in events}


def test_what_is_claimed_ahead_is_sent_once(installation: Installation) -> None:
    """Several batches one after the other arrive whole, and none of them twice."""
    queue = installation.queue("video.#")
    sent = send_many(installation)
    installation.relay()

    with installation.taking(queue, prefetch=0) as taker:
        arrived = identities(taker.take_and_acknowledge(MANY))
    assert sorted(arrived) == sorted(sent)


def test_who_is_stopped_lets_go_of_what_it_claimed_ahead(installation: Installation) -> None:
    """The next relay has it at once, and need not wait for a claim to lapse."""
    queue = installation.queue("video.#")
    installation.relay()
    sent = send_many(installation)
    wait_until(
        lambda: installation.waiting().count() < MANY, timeout=PATIENCE, message="the first batch"
    )
    installation.stop_relaying()
    assert not installation.waiting().filter(claim__isnull=False).exists()

    installation.relay()
    with installation.taking(queue, prefetch=0) as taker:
        arrived = identities(taker.take_and_acknowledge(MANY))
    assert sorted(arrived) == sorted(sent)
