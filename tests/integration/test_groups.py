"""What happens to messages that share a commit? Each keeps a fate of its own."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.dispatch import receiver
from django.test.utils import CaptureQueriesContext

from taskrouting import Reject, Retry, Snooze, subscribe
from taskrouting.consuming import groups
from taskrouting.consuming.gathering import Gatherer, Line
from taskrouting.consuming.groups import Ended
from taskrouting.consuming.pool import Pool
from taskrouting.models import DeadLetter, Delivery, Message
from taskrouting.signals import delivery_finished
from taskrouting.transport.messages import Arrival
from tests.integration.copies import arrival, site
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]

QUEUE = "video_queue"
PATIENCE = 30


@pytest.fixture(autouse=True)
def _time_enough(settings) -> None:
    """On a busy machine a group's usual time may be over before its second handler."""
    settings.TASKROUTING = {"GROUP_TIME": PATIENCE}


def coming(*numbers: int) -> list[Arrival]:
    """Messages whose events are called by their numbers."""
    return [
        arrival(json.dumps(number).encode(), properties={"message_id": f"m-{number}"}, tag=tag)
        for tag, number in enumerate(numbers, 1)
    ]


def written() -> Counter[str]:
    """What handlers left in the database."""
    return Counter(name.partition(" ")[0] for name in Group.objects.values_list("name", flat=True))


def write(event, note="") -> None:
    """Leave a row for one run of a handler, under a name that no other run has."""
    Group.objects.create(name=f"{event.data}{note} {Group.objects.count()}")


def states() -> dict[str, tuple[str, int]]:
    """Where the ledger has each event, and after how many attempts."""
    rows = Delivery.objects.values_list("event_id", "state", "attempts")
    return {event_id: (state, attempts) for event_id, state, attempts in rows}


def test_a_group_shares_its_statements():
    """Claims and outcomes of thirty messages cost no more statements than those of three."""
    subscribe("video.#", queue=QUEUE, name="idle")(lambda event: None)

    def statements(numbers: Sequence[int]) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert groups.run(coming(*numbers), site()[0]) == Ended([], together=True)
        return len(captured)

    assert statements(range(30, 60)) == statements(range(3))
    assert set(states().values()) == {("handled", 1)}


def test_everyone_is_handled_once_and_acknowledged():
    """Every subscription of the queue runs for every message, and each message is let go."""
    subscribe("video.#", queue=QUEUE, name="first")(lambda event: write(event, "a"))
    subscribe("video.#", queue=QUEUE, name="second")(lambda event: write(event, "b"))
    here, acknowledged = site()
    arrivals = coming(1, 2, 3)

    groups.run(arrivals, here)

    assert written() == {f"{number}{note}": 1 for number in (1, 2, 3) for note in "ab"}
    assert acknowledged == arrivals
    assert Delivery.objects.filter(state="handled", attempts=1, token=None).count() == 6


def test_a_copy_is_a_duplicate_in_a_group_as_well():
    """An event that comes twice, in one group or in two, is handled once; all copies are let go."""
    told: list[tuple[str, str]] = []

    @receiver(delivery_finished)
    def note(event, outcome, **more):
        told.append((event.id, outcome))

    subscribe("video.#", queue=QUEUE, name="once")(write)
    here, acknowledged = site()

    groups.run(coming(1, 2, 1), here)
    groups.run(coming(2, 3), here)
    delivery_finished.disconnect(note)

    assert written() == {"1": 1, "2": 1, "3": 1}
    assert len(acknowledged) == 5
    assert Counter(told) == {
        ("m-1", "handled"): 1,
        ("m-1", "duplicate"): 1,
        ("m-2", "handled"): 1,
        ("m-2", "duplicate"): 1,
        ("m-3", "handled"): 1,
    }


def test_one_that_fails_takes_nobody_along():
    """Retried, put off and refused is each by itself; its neighbours are handled once."""
    verdicts = {1: ValueError("no"), 3: Snooze(60), 4: Reject("never")}

    @subscribe("video.#", queue=QUEUE, name="picky", retry=Retry(base=60))
    def picky(event):
        write(event)
        if event.data in verdicts:
            raise verdicts[event.data]

    here, acknowledged = site()
    arrivals = coming(0, 1, 2, 3, 4, 5)

    ended = groups.run(arrivals, here)

    assert ended == Ended([], together=False)
    assert written() == {"0": 1, "2": 1, "5": 1}
    assert states() == {
        **{f"m-{number}": ("handled", 1) for number in (0, 2, 5)},
        "m-1": ("pending", 1),
        "m-3": ("pending", 0),
        "m-4": ("dead", 1),
    }
    assert {row.event_id for row in Message.objects.all()} == {"m-1", "m-3"}
    assert DeadLetter.objects.get().event_id == "m-4"
    assert acknowledged == arrivals


def test_what_is_no_event_does_not_join():
    """Bytes that are no message become a dead letter, and the others go together."""
    subscribe("video.#", queue=QUEUE, name="fine")(write)
    here, acknowledged = site()
    arrivals = [*coming(1, 2), arrival(b"{", content_type="application/cloudevents+json")]

    assert groups.run(arrivals, here).together

    assert written() == {"1": 1, "2": 1}
    assert DeadLetter.objects.get().reason == "undecodable"
    assert {each.tag for each in acknowledged} == {each.tag for each in arrivals}


def test_results_are_kept():
    """The ledger has what each handler returned, as it has without a group."""

    @subscribe("video.#", queue=QUEUE, name="odd")
    def odd(event):
        return event.data if event.data % 2 else None

    groups.run(coming(1, 2, 3), site()[0])

    rows = Delivery.objects.order_by("event_id").values_list("result", "state", "token")
    assert list(rows) == [(1, "handled", None), (None, "handled", None), (3, "handled", None)]


def test_there_is_an_end_to_what_a_group_begins(settings):
    """When its time is over the others are left, unclaimed and unacknowledged, for any thread."""
    settings.TASKROUTING = {"GROUP_TIME": 0}
    subscribe("video.#", queue=QUEUE, name="slow")(write)
    here, acknowledged = site()
    arrivals = coming(1, 2, 3)

    ended = groups.run(arrivals, here)

    assert ended == Ended(arrivals[1:], together=True)
    assert states() == {"m-1": ("handled", 1)}
    assert acknowledged == arrivals[:1]
    assert groups.run(ended.left, here).left == arrivals[2:]


def test_who_runs_alone_after_a_failed_group_keeps_no_other_waiting(settings):
    """When the time is over the others are left for any thread, as after a group that went well."""
    settings.TASKROUTING = {"GROUP_TIME": 0}

    @subscribe("video.#", queue=QUEUE, name="failing", retry=Retry(base=60))
    def failing(event):
        raise ValueError

    here, acknowledged = site()
    arrivals = coming(1, 2, 3)

    assert groups.run(arrivals, here) == Ended(arrivals[1:], together=False)
    assert acknowledged == arrivals[:1]
    assert states() == {"m-1": ("pending", 1)}


@pytest.mark.django_db(transaction=True)
def test_callbacks_run_once_after_the_commit_and_apart():
    """``on_commit`` of each handler runs, once, whatever that of another one raises."""
    called: list[int] = []

    @subscribe("video.#", queue=QUEUE, name="calling")
    def calling(event):
        assert transaction.get_connection().in_atomic_block
        transaction.on_commit(lambda: called.append(event.data))
        if event.data == 2:
            transaction.on_commit(lambda: 1 / 0)

    groups.run(coming(1, 2, 3), site()[0])

    assert called == [1, 2, 3]
    assert set(states().values()) == {("handled", 1)}


def test_suspects_and_addressed_copies_never_join():
    """Who may have killed a worker, and who is for one subscription only, runs by itself."""
    (fresh,) = coming(1)

    assert groups.joins(fresh)
    assert not groups.joins(arrival(redelivered=True))
    assert not groups.joins(arrival(token=Delivery().token, subscription="a", redelivered=True))


@pytest.mark.parametrize(
    ("policy", "size", "takes"),
    [
        ({}, 32, True),
        ({}, 1, False),
        ({"effects": "external"}, 32, False),
    ],
)
def test_only_effects_in_the_database_are_grouped(settings, policy, size, takes):
    """One external subscription on a queue, or ``GROUP_SIZE`` 1, and nothing there is grouped."""
    settings.TASKROUTING = {"GROUP_SIZE": size}
    subscribe("video.#", queue=QUEUE, name="inside")(lambda event: None)
    subscribe("video.#", queue=QUEUE, name="other", **policy)(lambda event: None)

    assert groups.takes(QUEUE) is takes


def test_a_line_finds_out_how_many_go_well_together(settings):
    """Twice as many after each full group that was quick; fewer after a slow or a failed one."""
    settings.TASKROUTING = {"GROUP_SIZE": 6, "GROUP_TIME": 1}
    line, well = Line(), Ended([], together=True)

    def size() -> int:
        for each in coming(*range(10)):
            line.enter(each)
        helper = line.hire(1)
        taken = line.take(helper)
        while line.take(helper):
            pass
        return len(taken)

    assert size() == 1
    line.learn(1, 0.1, well)
    assert size() == 2
    line.learn(2, 0.1, well)
    line.learn(4, 0.1, well)
    assert size() == 6
    line.learn(3, 0.1, well)  # not full, so it says nothing
    line.learn(6, 0.6, well)  # more would take too long
    assert size() == 6
    line.learn(6, 1.1, Ended(coming(1, 2), together=True))
    assert size() == 4
    line.learn(4, 0.1, Ended([], together=False))
    assert size() == 1


def test_quick_groups_have_one_thread_and_slow_handlers_all(settings):
    """Another one comes for every message until groups are quick; then only where one is late."""
    settings.TASKROUTING = {"GROUP_TIME": 0.05}
    line = Line()
    for each in coming(*range(20)):
        line.enter(each)

    slow = [line.hire(4) for _ in range(6)]
    assert [helper is not None for helper in slow] == [True] * 4 + [False] * 2

    line = Line()
    line.size = 8
    for each in coming(*range(20)):
        line.enter(each)
    quick = line.hire(4)
    assert quick is not None
    assert line.hire(4) is None
    assert len(line.take(quick)) == 8
    assert line.hire(4) is None
    wait_until(lambda: line.hire(4) is not None, timeout=PATIENCE, message="help for who is late")


def test_what_is_handed_back_was_not_quick(settings):
    """More is held where handlers are known to be quick, and only as long as nobody waits long."""
    settings.TASKROUTING = {"GROUP_SIZE": 8}
    subscribe("video.#", queue=QUEUE, name="a")(write)
    pool, go = Pool(1, "test"), threading.Event()
    go.set()

    def run(taken: Sequence[Arrival]) -> Ended:
        go.wait(PATIENCE)
        return Ended([], together=True)

    gatherer = Gatherer(pool, run, threading.Event())
    assert dict(gatherer.sizes()) == {}
    for each in coming(*range(40)):
        gatherer.add(each)
    wait_until(lambda: dict(gatherer.sizes()) == {QUEUE: 8}, timeout=PATIENCE, message="8")
    wait_until(lambda: not gatherer, timeout=PATIENCE, message="the line")

    go.clear()
    for each in coming(*range(40, 60)):
        gatherer.add(each)
    assert gatherer.withdraw()
    assert dict(gatherer.sizes()) == {}
    go.set()
    pool.close()


def test_nothing_is_begun_when_the_worker_leaves():
    """What waits then is handed back, and nobody begins it behind that."""
    subscribe("video.#", queue=QUEUE, name="a")(write)
    pool, leaving, begun = Pool(1, "test"), threading.Event(), []

    def run(taken: Sequence[Arrival]) -> Ended:
        begun.extend(taken)
        leaving.set()
        return Ended([], together=True)

    gatherer = Gatherer(pool, run, leaving)
    for each in coming(*range(5)):
        gatherer.add(each)

    def idle() -> bool:
        pool.reap()
        return not pool.held

    wait_until(idle, timeout=PATIENCE, message="the thread")
    assert len(begun) == 1
    assert len(gatherer.withdraw()) == 4
    pool.close()


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite keeps its connection")
def test_connections_are_looked_at_between_groups():
    """One that is too old, or broken, is replaced while the queue never runs empty."""
    subscribe("video.#", queue=QUEUE, name="a")(write)
    pool, seen = Pool(1, "test"), []

    def run(taken: Sequence[Arrival]) -> Ended:
        connection.ensure_connection()
        seen.append(connection.connection)
        connection.close_at = 0
        return Ended(taken[1:], together=True)

    gatherer = Gatherer(pool, run, threading.Event())
    for each in coming(*range(5)):
        gatherer.add(each)
    wait_until(lambda: len(seen) >= 5, timeout=PATIENCE, message="five groups")
    pool.close()

    assert len({id(each) for each in seen}) == len(seen)


def test_a_thread_that_finds_nobody_is_counted_on_no_more():
    """Nor one that has failed: the next message gets another."""
    line = Line()
    for each in coming(1, 2):
        line.enter(each)
    helper, other = line.hire(2), line.hire(2)
    assert helper is not None
    assert other is not None
    assert line.hire(2) is None

    assert [len(line.take(helper)) for _ in range(3)] == [1, 1, 0]
    line.dismiss(other)
    line.enter(coming(3)[0])
    assert line.hire(1) is not None


def test_nobody_is_taken_twice_or_forgotten():
    """Each message runs in one group; what was left comes again; what waits can be withdrawn."""
    pool, go, seen = Pool(2, "test"), threading.Event(), Counter[int]()
    lock = threading.Lock()

    def run(taken: Sequence[Arrival]) -> Ended:
        go.wait(PATIENCE)
        with lock:
            seen.update(each.tag for each in taken[:3])
        return Ended(taken[3:], together=True)

    subscribe("video.#", queue=QUEUE, name="a")(write)
    gatherer = Gatherer(pool, run, threading.Event())
    arrivals = coming(*range(100))
    for each in arrivals[:90]:
        gatherer.add(each)
    go.set()

    def done() -> bool:
        gatherer.flush()
        pool.reap()
        return not pool.held and not gatherer

    wait_until(done, timeout=PATIENCE, message="the pool")
    go.clear()
    for each in arrivals[90:]:
        gatherer.add(each)
    withdrawn = gatherer.withdraw()
    go.set()
    wait_until(done, timeout=PATIENCE, message="the rest")
    pool.close()

    assert seen + Counter(each.tag for each in withdrawn) == Counter(range(1, 101))
