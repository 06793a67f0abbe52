"""Where does a message go that Redis had already taken off its list when we stopped to consume?"""

from __future__ import annotations

import pytest
from kombu import Producer

from tests.conformance.installation import TICK, Installation
from tests.conformance.places import REDIS
from tests.waiting import wait_until

#: What stands in for an event: nobody reads it.
ID = "late"


@pytest.mark.parametrize("place", [REDIS], indirect=True)
@pytest.mark.parametrize("stop", ["cancel", "pause"])
def test_what_was_on_its_way_goes_back_to_its_own_queue(
    installation: Installation, stop: str
) -> None:
    """A BRPOP was under way: what it brings after the consumer was cancelled is ours to settle."""
    first, second = installation.queues({"a": ["video.#"], "b": ["mail.#"]})
    with installation.kombu() as connection, installation.taking(first, second) as taker:
        taker.receiver.drain(TICK)  # asks Redis for both queues, and waits in vain
        Producer(connection).publish("late", routing_key=second, message_id=ID, priority=9)

        if stop == "cancel":
            taker.receiver.cancel()
        else:
            taker.receiver.pause({first, second})
        wait_until(
            lambda: taker.receiver.drain(TICK) and taker.arrivals, message="the answer of Redis"
        )
        (arrival,) = taker.arrivals
        assert arrival.queue == second

    with installation.kombu() as connection, connection.channel() as channel:
        sizes = {name: channel._size(name) for name in (first, second)}
    assert sizes == {first: 0, second: 1}
