"""``django://``: who holds a message, for how long, and what if that is over?"""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import connections

from taskrouting.transport import store
from taskrouting.transport.messages import Message
from taskrouting.transport.store import Claimed
from tests.conformance.installation import PATIENCE, TICK, Installation, identities
from tests.conformance.places import EMBEDDED
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("place", EMBEDDED, indirect=True)

#: A claim that nobody can outlive in a test, and one that is over when it is looked for.
LONG, SHORT = timedelta(minutes=1), timedelta(milliseconds=20)


def put(installation: Installation, count: int = 1, **more: object) -> str:
    """Put messages, numbered in their bodies, into a queue; return its name."""
    queue = f"{installation.prefix}_store"
    messages = [
        Message(queue=queue, body=str(number).encode(), routing_key="key", **more)
        for number in range(count)
    ]
    store.put(messages, using=installation.alias)
    return queue


def claim(
    installation: Installation, queue: str, lease: timedelta = LONG, limit: int = 1
) -> list[Claimed]:
    """Claim what is due."""
    return store.claim(queue, limit, lease, using=installation.alias)


def claim_lapsed(installation: Installation, queue: str) -> Claimed:
    """Wait until the claim that somebody holds is over; take it over."""
    return wait_until(lambda: claim(installation, queue), message="a lapsed claim")[0]


def test_a_claim_is_nobody_elses(installation: Installation) -> None:
    """What one has claimed nobody else gets, as long as the lease holds."""
    queue = put(installation, 2)

    first, second = claim(installation, queue)[0], claim(installation, queue)[0]

    assert {first.message.body, second.message.body} == {b"0", b"1"}
    assert (first.deliveries, second.deliveries) == (1, 1)
    assert claim(installation, queue) == []


def test_a_lapsed_claim_is_taken_over(installation: Installation) -> None:
    """When a lease is over the next one gets the message, and is told that it is not the first."""
    queue = put(installation)
    claim(installation, queue, SHORT)

    assert claim_lapsed(installation, queue).deliveries == 2


def test_who_lost_a_claim_settles_nothing(installation: Installation) -> None:
    """An acknowledgement that comes too late deletes, extends and releases nothing."""
    queue = put(installation)
    lost = claim(installation, queue, SHORT)
    held = claim_lapsed(installation, queue)

    alias = installation.alias
    assert store.settle(lost, using=alias) == 0
    assert store.extend(lost, LONG, using=alias) == 0
    assert store.release(lost, using=alias) == 0
    assert store.settle([held], using=alias) == 1
    assert not installation.waiting().exists()


def test_an_extended_claim_holds_on(installation: Installation) -> None:
    """Extending moves the end of the lease, counted from now."""
    queue = put(installation)
    held = claim(installation, queue, timedelta(seconds=0.3))

    assert store.extend(held, LONG, using=installation.alias) == 1
    assert store.next_due([queue], using=installation.alias) > timedelta(seconds=30)


def test_a_released_message_is_due_again(installation: Installation) -> None:
    """It may be said that nobody has looked at it; then nobody is told otherwise."""
    queue = put(installation)
    store.release(claim(installation, queue), using=installation.alias)
    again = claim(installation, queue)
    assert again[0].deliveries == 2

    store.release(again, using=installation.alias, seen=False)
    assert claim(installation, queue)[0].deliveries == 2


def test_a_released_message_can_be_delayed(installation: Installation) -> None:
    """``delay`` holds back what was released, by the database's clock."""
    queue = put(installation)
    store.release(claim(installation, queue), using=installation.alias, delay=LONG)

    assert claim(installation, queue) == []
    due = store.next_due([queue], using=installation.alias)
    assert due is not None and timedelta(seconds=50) < due <= LONG


def test_the_most_urgent_are_claimed_first(installation: Installation) -> None:
    """Priority first, then what has been due for longest."""
    queue = put(installation, 2)
    put(installation, 1, priority=5)
    put(installation, 1, delay=LONG)

    bodies = [each.message.priority for each in claim(installation, queue, limit=10)]
    assert bodies == [5, 0, 0]


def test_claimers_beside_each_other_never_get_the_same_row(installation: Installation) -> None:
    """Four threads empty a queue: every message is handed out, and once."""
    queue = put(installation, 200)
    bodies: list[bytes] = []

    def take() -> None:
        try:
            while taken := claim(installation, queue, limit=3):
                bodies.extend(each.message.body for each in taken)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert sorted(bodies, key=int) == [str(number).encode() for number in range(200)]


def test_a_consumer_keeps_its_claims_while_it_drains(installation: Installation) -> None:
    """A message may be held for longer than the lease; nobody else gets it meanwhile."""
    installation.configure(LEASE=0.3)
    queue = installation.queue("video.#")
    event = installation.send("video.upload")
    with installation.taking(queue) as holder, installation.taking(queue) as other:
        holder.take()
        lapsed = time.monotonic() + 1
        while time.monotonic() < lapsed:
            holder.receiver.drain(TICK / 2)
            other.receiver.drain(TICK / 2)
        assert other.arrivals == []

        holder.receiver.hand_back(holder.arrivals[0])
        assert identities(other.take_and_acknowledge()) == [event.id]


def test_a_consumer_that_fell_silent_is_relieved(installation: Installation) -> None:
    """Whoever does not drain loses its claims, and what it then acknowledges is not deleted."""
    installation.configure(LEASE=0.2)
    queue = installation.queue("video.#")
    installation.send("video.upload")
    with installation.taking(queue) as silent, installation.taking(queue) as other:
        late = silent.take()[0]
        assert other.take()[0].redelivered

        silent.receiver.acknowledge(late)
        assert installation.waiting().count() == 1
        other.receiver.acknowledge(other.arrivals[0])
        assert not installation.waiting().exists()
