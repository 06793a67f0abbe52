"""Do the figures say what happened, whoever wrote them, and whatever was in the way?"""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connections
from django.db.models import Sum

from taskrouting import Batch, Reject, publish, signals, subscribe
from taskrouting.contrib.testing import run_subscribers
from taskrouting.events import Event, encode
from taskrouting.exceptions import BrokerBlocked, BrokerUnavailable
from taskrouting.instruments import figures, scale
from taskrouting.instruments.tally import Tally
from taskrouting.models import Figure, Pulse
from taskrouting.transport import store
from taskrouting.transport.messages import OUTBOX, Message

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]


@pytest.fixture
def tally():
    """What hears the signals of this test."""
    counting = Tally()
    with counting.listening():
        yield counting


def counted(span: int = figures.MINUTE) -> dict[tuple[str, str], int]:
    """What the table says of each subscription or queue, however many minutes that took."""
    rows = Figure.objects.filter(span=span).order_by().values_list("subscription", "measure")
    return {(name, measure): count for name, measure, count in rows.annotate(Sum("count"))}


def test_every_outcome_is_counted_with_its_times(tally):
    """A handler that works, one that fails, and the audit log's batches."""

    @subscribe("video.#", queue="video_queue", name="good")
    def handle(event): ...

    @subscribe("video.#", queue="mail_queue", name="bad")
    def refuse(event):
        raise Reject("never")

    publish("video.upload")
    publish("video.upload")
    run_subscribers()
    figures.write(tally)

    wanted = {
        ("good", "handled"): 2, ("good", "latency"): 2, ("good", "duration"): 2,
        ("bad", "dead"): 2, ("bad", "duration"): 2,
        ("taskrouting.audit", "handled"): 2, ("taskrouting.audit", "latency"): 2,
        ("taskrouting.audit", "duration"): 1,
    }  # fmt: skip
    assert counted(figures.MINUTE) == wanted
    assert counted(figures.QUARTER) == wanted
    assert set(Figure.objects.filter(subscription="good").values_list("queue", flat=True)) == {
        "video_queue"
    }


def test_latency_is_the_time_from_the_event_until_it_was_handled(tally):
    """Also of those that are handled together; what comes from the future took no time."""

    @subscribe("slow.#", name="slow", batch=Batch())
    def handle(events): ...

    for ago in (-60, 10, 1000):
        time = datetime.now(UTC) - timedelta(seconds=ago)
        event = Event(id=str(ago), type="slow.one", source="elsewhere", time=time)
        parcel = Message(
            queue="slow", body=encode(event), routing_key=event.type,
            content_type="application/cloudevents+json", content_encoding="utf-8",
        )  # fmt: skip
        store.put([parcel], using="default")
    run_subscribers()
    figures.write(tally)

    rows = Figure.objects.filter(subscription="slow", measure="latency", span=60)
    steps = dict(rows.values_list("step", "count"))
    assert steps == {scale.step_of(0): 1, scale.step_of(10): 1, scale.step_of(1000): 1}


def test_processes_add_to_the_same_rows(tally):
    """The table grows with the subscriptions and the minutes, not with processes or events."""
    other = Tally()
    for counting in (tally, other, tally):
        counting.waiting({"a": 5, OUTBOX: 1})
        figures.write(counting)

    assert counted() == {("", "backlog"): 18, ("", "looks"): 6}
    minutes = Figure.objects.filter(span=60).values("since").distinct().count()
    assert Figure.objects.filter(span=60).count() == 4 * minutes


def test_what_cannot_be_written_is_written_later(tally):
    """All of it and once, with what came meanwhile."""
    tally.waiting({"a": 1})
    with connections["default"].cursor() as cursor:
        cursor.execute("ALTER TABLE taskrouting_figure RENAME TO hidden")
        with pytest.raises(DatabaseError):
            figures.write(tally)
        cursor.execute("ALTER TABLE hidden RENAME TO taskrouting_figure")
    tally.waiting({"a": 1})
    figures.write(tally)

    assert counted() == {("", "backlog"): 2, ("", "looks"): 2}


def test_only_events_that_leave_the_outbox_are_published(tally):
    """A retry that the relay sends again to its queue is no new event."""
    for queue in (OUTBOX, OUTBOX, "video_queue"):
        signals.emit(signals.event_relayed, None, event_id="1", routing_key="k", queue=queue)
    figures.write(tally)

    assert counted() == {("", "relayed"): 2}


def test_a_relay_is_heard_and_says_what_is_wrong(tally):
    """Its own word, with for how long; the next pass takes it back."""
    signals.emit(signals.relay_passed, None, using="default", moved=0)
    figures.write(tally)
    assert Pulse.objects.get().name == "relay of 'default'"

    def fails(error: Exception) -> Pulse:
        signals.emit(signals.fault_noticed, None, where="relay of 'default'", error=error,
                     away=timedelta(seconds=7), retry_in=timedelta(seconds=1))  # fmt: skip
        figures.write(tally)
        return Pulse.objects.get()

    found = fails(BrokerUnavailable("refused"))
    assert (found.fault, found.error, found.failing_for) == (
        "broker", "refused", timedelta(seconds=7),
    )  # fmt: skip
    assert fails(BrokerBlocked("no room")).fault == "blocked"
    assert fails(DatabaseError("gone")).fault == "database"

    signals.emit(signals.relay_passed, None, using="default", moved=0)
    figures.write(tally)
    assert (Pulse.objects.get().fault, Pulse.objects.get().error) == ("", "")


def test_what_is_old_is_forgotten(tally):
    """Minutes after more than an hour, quarters of an hour after more than a day."""
    tally.waiting({"a": 1})
    signals.emit(signals.relay_passed, None, using="default", moved=0)
    figures.write(tally)
    figures.forget_old()
    assert Counter(Figure.objects.values_list("span", flat=True)) == {60: 2, 900: 2}

    Figure.objects.filter(span=60).update(since=datetime.now(UTC) - timedelta(hours=2))
    Figure.objects.filter(span=900).update(since=datetime.now(UTC) - timedelta(hours=24))
    figures.forget_old()
    assert Counter(Figure.objects.values_list("span", flat=True)) == {900: 2}


@pytest.mark.django_db(transaction=True)
def test_a_process_writes_at_its_end():
    """Short runs are seen too; two that write the same rows at once wait for each other."""
    threads = [threading.Thread(target=collect, args=[1000 * number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counted()[("", "looks")] == 4 * 200


def collect(number: int) -> None:
    """Collect for a moment, as a process would."""
    with figures.collecting() as tally:
        tally.waiting({f"queue {each:03}": number for each in range(200)})


def test_percentiles_are_a_fifth_off_at_most():
    """Whatever the length of time; without any there is none."""
    assert scale.percentile({}, 0.5) is None
    for seconds in (0.0015, 0.02, 1.0, 59.0, 3600.0):
        found = scale.percentile({scale.step_of(seconds): 10}, 0.5)
        assert found == pytest.approx(seconds, rel=0.2)
    mixed = {scale.step_of(0.01): 94, scale.step_of(10): 6}
    assert scale.percentile(mixed, 0.5) == pytest.approx(0.01, rel=0.2)
    assert scale.percentile(mixed, 0.95) == pytest.approx(10, rel=0.2)
    assert scale.step_of(-5) == 0
    assert scale.percentile({scale.step_of(10**9): 1}, 0.5) >= 2**20 * scale.FIRST
