"""What becomes of a message when it is settled, and when it is not?"""

from __future__ import annotations

from tests.conformance.installation import (
    PATIENCE,
    TICK,
    Installation,
    Taker,
    identities,
    settle,
)
from tests.waiting import wait_until


def test_what_is_acknowledged_is_gone(installation: Installation) -> None:
    """An acknowledged message never comes back, whoever consumes next."""
    queue = installation.queue("video.#")
    installation.send("video.upload")
    with installation.taking(queue) as taker:
        taker.take_and_acknowledge()

    later = installation.send("video.upload")
    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge()) == [later.id]


def test_what_is_handed_back_returns_to_its_own_queue(installation: Installation) -> None:
    """A copy handed back comes again to its queue, and no other queue gets another one."""
    video, audit = installation.queue("video.#", name="video"), installation.queue("#", name="all")
    event = installation.send("video.upload")
    with installation.taking(video) as taker:
        taker.receiver.hand_back(taker.take()[0])
        assert identities(taker.take_and_acknowledge()) == [event.id]

    fence = installation.send("video.upload")
    with installation.taking(video) as taker:
        assert identities(taker.take_and_acknowledge()) == [fence.id]
    with installation.taking(audit) as taker:
        assert set(identities(taker.take_and_acknowledge(2))) == {event.id, fence.id}
        assert not taker.receiver.drain(TICK)


def test_what_nobody_settled_comes_back(installation: Installation) -> None:
    """What a consumer took and did not settle is in its queue when the consumer has left."""
    queue = installation.queue("video.#")
    event = installation.send("video.upload")
    with installation.taking(queue) as taker:
        taker.take()

    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge()) == [event.id]


def test_a_second_delivery_says_so(installation: Installation) -> None:
    """A message that was delivered before is marked as redelivered, and a new one is not."""
    queue = installation.queue("video.#")
    installation.send("video.upload")
    with installation.taking(queue) as taker:
        first = taker.take()[0]
        taker.receiver.hand_back(first)
        second = taker.take()[0]
    with installation.taking(queue) as taker:
        third = taker.take_and_acknowledge()[0]

    assert installation.broker.can.tells_redelivery
    assert [each.redelivered for each in (first, second, third)] == [False, True, True]


def test_an_acknowledgement_from_before_a_reconnect_is_dropped(installation: Installation) -> None:
    """Delivery tags start again with each connection: an old one settles nothing new."""
    queue = installation.queue("video.#")
    event = installation.send("video.upload")
    with installation.taking(queue) as taker:
        stale = taker.take()[0]

    with installation.taking(queue) as taker:
        taker.take()
        taker.receiver.acknowledge(stale)
        taker.receiver.hand_back(stale)
        assert taker.receiver.unsettled == 1
    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge()) == [event.id]


def test_settling_twice_settles_once(installation: Installation) -> None:
    """A second acknowledgement of the same copy is no fault and hits nothing else."""
    queue = installation.queue("video.#")
    installation.send("video.upload")
    later = installation.send("video.upload")
    with installation.taking(queue, prefetch=1) as taker:
        first = taker.take_and_acknowledge()[0]
        taker.take()
        taker.receiver.acknowledge(first)
    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge()) == [later.id]


def test_several_are_settled_together_and_nothing_else_with_them(
    installation: Installation,
) -> None:
    """Of what is held of two queues just those named are settled, in whatever order they came."""
    left, right = installation.queue("left.#", name="left"), installation.queue("right.#", name="r")
    for key in ("left.a", "right.a") * 5:
        installation.publish(key)
    installation.relay()

    with installation.taking(left, right) as taker:
        # Some may come while the second queue is opened.
        wait_until(lambda: all_of(taker, 10), timeout=PATIENCE, message="all that was sent")
        lefts, rights = (
            [each for each in taker.arrivals if each.queue == queue] for queue in (left, right)
        )
        taker.receiver.acknowledge(rights[1], lefts[0], lefts[3], lefts[1], rights[2])
        assert taker.receiver.unsettled == 5
        unsettled = [lefts[2], lefts[4], rights[0], rights[3], rights[4]]
    with installation.taking(left, right) as taker:
        wait_until(lambda: all_of(taker, 5), timeout=PATIENCE, message="what was not settled")
        assert sorted(identities(taker.arrivals)) == sorted(identities(unsettled))
        for arrival in taker.arrivals:
            settle(arrival, taker.receiver)
        assert not taker.receiver.drain(TICK)


def all_of(taker: Taker, count: int) -> bool:
    """Take what comes; say whether ``count`` messages have come by now."""
    taker.receiver.drain(TICK)
    return len(taker.arrivals) >= count


def test_consumers_of_one_queue_share_it(installation: Installation) -> None:
    """Two consumers get every message between them, and none of them twice."""
    queue = installation.queue("video.#")
    sent = [installation.publish("video.upload", number).id for number in range(12)]
    installation.relay()

    with (
        installation.taking(queue, prefetch=2) as one,
        installation.taking(queue, prefetch=2) as two,
    ):
        while len(one.arrivals) + len(two.arrivals) < len(sent):
            for taker in (one, two):
                before = len(taker.arrivals)
                taker.receiver.drain(TICK)
                for arrival in taker.arrivals[before:]:
                    taker.receiver.acknowledge(arrival)
        assert not one.receiver.drain(TICK) and not two.receiver.drain(TICK)

    assert sorted(identities(one.arrivals + two.arrivals)) == sorted(sent)
    assert one.arrivals and two.arrivals


def test_prefetch_is_the_most_a_consumer_holds(installation: Installation) -> None:
    """No message comes beyond the prefetch until one is settled."""
    queue = installation.queue("video.#")
    for number in range(4):
        installation.publish("video.upload", number)
    installation.relay()

    with installation.taking(queue, prefetch=2) as taker:
        taker.take(2)
        taker.receiver.drain(TICK)
        taker.receiver.drain(TICK)
        assert taker.receiver.unsettled == 2

        taker.receiver.acknowledge(taker.arrivals[0])
        taker.take()
        assert taker.receiver.unsettled == 2


def test_more_can_be_held_than_at_first(installation: Installation) -> None:
    """A consumer that asks for more gets what waits, once, and keeps what it has in hand."""
    queue = installation.queue("video.#")
    sent = [installation.send("video.upload").id for _ in range(8)]
    with installation.taking(queue, prefetch=2) as taker:
        first = taker.take(2)
        taker.receiver.hold(queue, 8)
        rest = taker.take(6)
        assert sorted(identities([*first, *rest])) == sorted(sent)
        for arrival in [*first, *rest]:
            settle(arrival, taker.receiver)

    fence = installation.send("video.upload")
    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge()) == [fence.id]
