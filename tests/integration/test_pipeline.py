"""What happens to a message, step by step? The real codec, routing, ledger and handlers, inline."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from taskrouting import (
    Batch,
    Discard,
    Event,
    Reject,
    Retry,
    Snooze,
    publish,
    publish_many,
    subscribe,
)
from taskrouting.consuming import delivery
from taskrouting.consuming.attempts import Outcome, Site
from taskrouting.consuming.strays import StrayWriteWarning
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message
from taskrouting.transport import store
from taskrouting.transport.messages import Arrival
from taskrouting.transport.messages import Message as Parcel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]


def arrival(body: bytes = b"", **changes: object) -> Arrival:
    """A copy of a message as a broker would hand it over."""
    values: dict[str, object] = {
        "queue": "video_queue",
        "body": body,
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": {},
        "properties": {},
        "exchange": "events",
        "routing_key": "video.upload",
        "redelivered": False,
    }
    return Arrival(**{**values, **changes})  # type: ignore[arg-type]


def site() -> tuple[Site, list[Arrival]]:
    """A place to deliver at, and the copies acknowledged there."""
    acknowledged: list[Arrival] = []
    return Site(worker="here", acknowledge=acknowledged.append), acknowledged


def outcomes(runs) -> list[Outcome]:
    """The outcomes of some runs."""
    return [run.outcome for run in runs]


def test_an_event_reaches_its_handler_and_the_audit_log_once(run_subscribers):
    """One publish is one handled delivery and one audit row, with the event's own data."""
    seen: list[Event] = []

    @subscribe("video.#", queue="video_queue", name="keeper")
    def keep(event):
        seen.append(event)
        return {"kept": event.data["title"]}

    event = publish("video.upload", {"title": "Bunny"}, subject="videos/1")
    run_subscribers()

    assert [each.id for each in seen] == [event.id]
    assert seen[0] == event
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.result) == ("handled", 1, {"kept": "Bunny"})
    assert row.finished_at >= row.started_at
    record = AuditLog.objects.get()
    assert (record.event_id, record.data, record.subject) == (
        event.id,
        {"title": "Bunny"},
        "videos/1",
    )
    assert not Message.objects.exists()


def test_the_queue_decides_what_runs(run_subscribers):
    """A copy on one queue runs that queue's subscriptions and no other's."""
    ran: list[str] = []
    subscribe("video.#", queue="video_queue", name="a")(lambda event: ran.append("a"))
    subscribe("video.#", queue="other_queue", name="b")(lambda event: ran.append("b"))
    subscribe("user.#", queue="video_queue", name="c")(lambda event: ran.append("c"))

    publish("video.upload")
    run_subscribers()

    assert sorted(ran) == ["a", "b"]


def test_a_routing_key_nobody_handles_is_still_recorded(run_subscribers):
    """``user.login`` reaches only the audit queue."""
    subscribe("video.#", queue="video_queue", name="a")(print)

    publish("user.login", {"user": 7})
    run_subscribers()

    assert AuditLog.objects.get().routing_key == "user.login"
    assert not Delivery.objects.exists()


def test_a_copy_that_comes_twice_is_a_duplicate():
    """The ledger refuses the second copy of the same event for the same subscription."""
    calls: list[str] = []
    subscribe("video.#", queue="video_queue", name="a")(lambda event: calls.append(event.id))
    here, acknowledged = site()
    copy = arrival(b'{"n": 1}', properties={"message_id": "m-1", "app_id": "shop"})

    first = delivery.deliver(copy, here)
    second = delivery.deliver(copy, here)

    assert (first, second) == ([Outcome.HANDLED], [Outcome.DUPLICATE])
    assert calls == ["m-1"]
    assert len(acknowledged) == 2


def test_two_sources_may_count_alike():
    """An id is unique per source, no more: two producers' ``1`` are two events."""
    calls: list[str] = []
    subscribe("video.#", queue="video_queue", name="a")(lambda event: calls.append(event.source))
    here, _ = site()

    for source in ("shop", "depot"):
        delivery.deliver(arrival(b"{}", properties={"message_id": "1", "app_id": source}), here)

    assert calls == ["shop", "depot"]


def test_what_a_failing_handler_wrote_is_rolled_back(run_subscribers):
    """A handler's writes commit with its outcome, or not at all."""

    @subscribe("video.#", queue="video_queue", name="a", retry=Retry(max_attempts=1))
    def fail(event):
        Group.objects.create(name="half done")
        raise ValueError("in the middle")

    publish("video.upload")

    assert outcomes(run_subscribers()) == [Outcome.DEAD]
    assert not Group.objects.exists()
    letter = DeadLetter.objects.get()
    assert letter.reason == "exhausted"
    assert "in the middle" in letter.error


def test_a_failure_is_kept_with_its_traceback_and_tried_again(run_subscribers):
    """Every failed attempt stands in the ledger; the last one that works makes it HANDLED."""
    attempts: list[int] = []

    @subscribe("video.#", queue="video_queue", name="a", retry=Retry(max_attempts=3))
    def flaky(event):
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError(f"attempt {len(attempts)}")

    publish("video.upload")
    runs = run_subscribers(wait_for_delays=True)

    assert outcomes(runs) == [Outcome.RETRY, Outcome.RETRY, Outcome.HANDLED]
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.crashes) == ("handled", 3, 0)
    assert [error["message"] for error in row.errors] == ["attempt 1", "attempt 2"]
    assert all("flaky" in error["traceback"] for error in row.errors)
    assert AuditLog.objects.count() == 1


def test_a_retry_runs_only_the_subscription_that_failed(run_subscribers):
    """A neighbour on the queue does not run again because of somebody else's failure."""
    calls: list[str] = []

    @subscribe("video.#", queue="video_queue", name="broken", retry=Retry(max_attempts=2))
    def broken(event):
        calls.append("broken")
        raise ValueError

    subscribe("video.#", queue="video_queue", name="fine")(lambda event: calls.append("fine"))

    publish("video.upload")
    run_subscribers(wait_for_delays=True)

    assert sorted(calls) == ["broken", "broken", "fine"]


def test_a_retry_waits_for_its_time(run_subscribers):
    """A retry is a row of the store that is not due yet, addressed to one subscription."""

    @subscribe("video.#", queue="video_queue", name="a", retry=Retry(base=100, ceiling=100))
    def fail(event):
        raise ValueError

    publish("video.upload")
    run_subscribers()

    waiting = Message.objects.get()
    assert (waiting.queue, waiting.subscription) == ("video_queue", "a")
    assert waiting.token == Delivery.objects.get().token
    assert waiting.available_at - waiting.created_at >= timedelta(seconds=50)


def test_snooze_counts_no_attempt(run_subscribers):
    """``Snooze`` puts it off; the delivery is as fresh as before."""
    calls: list[int] = []

    @subscribe("video.#", queue="video_queue", name="a", retry=Retry(max_attempts=1))
    def later(event):
        calls.append(1)
        if len(calls) < 4:
            raise Snooze(3600)

    publish("video.upload")
    runs = run_subscribers(wait_for_delays=True)

    assert outcomes(runs) == [Outcome.SNOOZED] * 3 + [Outcome.HANDLED]
    assert Delivery.objects.get().attempts == 1


def test_reject_is_a_dead_letter_at_once(run_subscribers):
    """``Reject`` does not use up the attempts that are left."""

    @subscribe("video.#", queue="video_queue", name="a")
    def refuse(event):
        raise Reject("no video in it")

    event = publish("video.upload")
    run_subscribers()

    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.subscription, letter.event_id) == ("rejected", "a", event.id)
    assert letter.delivery == Delivery.objects.get().pk
    assert Delivery.objects.get().state == "dead"


def test_discard_is_done_on_purpose(run_subscribers):
    """``Discard`` ends the delivery without a dead letter, and the reason is kept."""

    @subscribe("video.#", queue="video_queue", name="a")
    def nothing_to_do(event):
        raise Discard("deleted meanwhile")

    publish("video.upload")

    assert outcomes(run_subscribers()) == [Outcome.DISCARDED]
    assert Delivery.objects.get().result == {"discarded": "deleted meanwhile"}
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize("effects", ["database", "external"])
def test_sys_exit_in_a_handler_ends_the_handler_only(run_subscribers, effects):
    """A handler that calls ``sys.exit()`` has failed like any other."""

    @subscribe("video.#", queue="video_queue", name="a", effects=effects)
    def leave(event):
        raise SystemExit(3)

    publish("video.upload")

    assert outcomes(run_subscribers()) == [Outcome.RETRY]


@pytest.mark.parametrize("effects", ["database", "external"])
def test_an_async_handler_works(run_subscribers, effects):
    """``async def`` handlers run, and may use the ORM's async methods."""

    @subscribe("video.#", queue="video_queue", name="a", effects=effects)
    async def keep(event):
        await Group.objects.acreate(name=event.id)

    event = publish("video.upload")

    assert outcomes(run_subscribers()) == [Outcome.HANDLED]
    assert Group.objects.get().name == event.id


def test_an_external_handler_runs_under_a_lease_without_our_transaction():
    """While it runs, its delivery is RUNNING, its copy waits, and the broker's is settled."""
    seen: dict[str, object] = {}
    here, acknowledged = site()

    @subscribe("video.#", queue="video_queue", name="a", effects="external")
    def look(event):
        seen["state"] = Delivery.objects.get().state
        seen["lease"] = Message.objects.get().token == Delivery.objects.get().token
        seen["acknowledged"] = len(acknowledged)
        seen["held"] = len(here.leases.tokens())

    assert delivery.deliver(arrival(b"{}"), here) == [Outcome.HANDLED]
    assert seen == {"state": "running", "lease": True, "acknowledged": 1, "held": 1}
    assert not Message.objects.exists()
    assert not here.leases.tokens()
    assert Delivery.objects.get().token is None


@pytest.mark.parametrize("effects", ["database", "external"])
def test_a_lapsed_lease_is_a_crash_and_five_are_dead(subscriptions, effects):
    """A delivery that takes its worker down again and again ends as a dead letter."""

    class Killed(BaseException):
        """The process dies: nothing of ours runs after it."""

    @subscribe("video.#", queue="video_queue", name="poison", effects=effects)
    def poison(event):
        raise Killed

    here, _ = site()
    copy = arrival(b"{}", redelivered=True)
    for crash in range(6):
        assert Delivery.objects.filter(crashes=max(crash - 1, 0)).count() == bool(crash)
        try:
            result = delivery.deliver(copy, here)
        except Killed:
            store.hasten(using="default")
            (row,) = store.claim("video_queue", 10, timedelta(minutes=1), using="default")
            store.settle([row], using="default")
            copy = arrival(
                row.message.body,
                content_type=row.message.content_type,
                subscription=row.message.subscription,
                token=row.message.token,
            )
            copy = arrival_with_lease(copy, effects)

    assert result == [Outcome.DEAD]
    assert Delivery.objects.get().crashes == 5
    assert DeadLetter.objects.get().reason == "crashed"


def arrival_with_lease(copy: Arrival, effects: str) -> Arrival:
    """A lapsed copy is a suspect; for a database handler the broker must say so."""
    from dataclasses import replace

    return copy if effects == "external" else replace(copy, redelivered=True)


def test_a_worker_that_lost_its_token_records_nothing():
    """Fenced: who was silent for longer than its lease cannot write an outcome."""
    here, _ = site()

    @subscribe("video.#", queue="video_queue", name="a", effects="external")
    def slow(event):
        Delivery.objects.update(token=uuid4())  # another worker has taken over meanwhile

    assert delivery.deliver(arrival(b"{}"), here) == [Outcome.LOST]
    assert Delivery.objects.get().state == "running"


def test_a_copy_whose_token_is_spent_does_not_run(run_subscribers):
    """Two copies with one token: the first exchanges it, the second is a DUPLICATE."""
    calls: list[int] = []
    here, _ = site()

    @subscribe("video.#", queue="video_queue", name="a")
    def fail_once(event):
        calls.append(1)
        if len(calls) == 1:
            raise ValueError

    delivery.deliver(arrival(b"{}"), here)
    waiting = Message.objects.get()
    copy = arrival(
        bytes(waiting.body),
        content_type=waiting.content_type,
        subscription="a",
        token=waiting.token,
    )

    assert delivery.deliver(copy, here) == [Outcome.HANDLED]
    assert delivery.deliver(copy, here) == [Outcome.DUPLICATE]
    assert len(calls) == 2


def test_several_external_subscriptions_each_get_a_copy_of_their_own(run_subscribers):
    """One message, two external handlers: each runs once, under a lease of its own."""
    calls: list[str] = []
    for name in ("a", "b"):
        subscribe("video.#", queue="video_queue", name=name, effects="external")(
            lambda event, name=name: calls.append(name)
        )
    subscribe("video.#", queue="video_queue", name="c")(lambda event: calls.append("c"))

    publish("video.upload")
    run_subscribers()

    assert sorted(calls) == ["a", "b", "c"]
    assert Delivery.objects.filter(state="handled").count() == 3


def test_what_a_handler_publishes_carries_the_conversation_on(run_subscribers):
    """Correlation and causation travel by themselves."""

    @subscribe("video.upload", queue="video_queue", name="a")
    def answer(event):
        publish("video.ready")

    subscribe("video.ready", queue="video_queue", name="b")(lambda event: None)
    first = publish("video.upload")
    run_subscribers()

    second = AuditLog.objects.get(routing_key="video.ready")
    assert second.causation_id == first.id
    assert second.correlation_id == first.correlation_id == first.id


def test_a_rolled_back_handler_published_nothing(run_subscribers):
    """Events of a handler that failed are rolled back with its writes."""

    @subscribe("video.upload", queue="video_queue", name="a")
    def fail(event):
        publish("video.ready")
        raise ValueError

    publish("video.upload")
    run_subscribers()

    assert not AuditLog.objects.filter(routing_key="video.ready").exists()


BROKEN = [
    (b"\xff\xfe", "application/json", "undecodable"),
    (b"{", "application/json", "undecodable"),
    (b'{"specversion": "1.0"}', "application/cloudevents+json", "undecodable"),
    (b"<xml/>", "application/xml", "not_accepted"),
    (b"\x80\x04N.", "application/x-python-serialize", "not_accepted"),
]


@pytest.mark.parametrize(("body", "content_type", "reason"), BROKEN)
def test_what_is_no_event_becomes_a_dead_letter_with_its_bytes(body, content_type, reason):
    """Nothing falls on the floor: raw bytes, headers and the reason are kept, and it is settled."""
    subscribe("video.#", queue="video_queue", name="a")(print)
    here, acknowledged = site()

    result = delivery.deliver(
        arrival(body, content_type=content_type, headers={"x": b"\xff", "n": 1}), here
    )

    assert result == [Outcome.DEAD]
    letter = DeadLetter.objects.get()
    assert (bytes(letter.body), letter.reason, letter.queue) == (body, reason, "video_queue")
    assert letter.headers["n"] == 1
    assert letter.error
    assert len(acknowledged) == 1


def test_a_message_nobody_on_the_queue_wants_is_kept():
    """A binding that outlived its subscription loses nothing."""
    subscribe("video.upload", queue="video_queue", name="a")(print)
    here, _ = site()

    delivery.deliver(arrival(b"{}", routing_key="video.gone"), here)

    letter = DeadLetter.objects.get()
    assert letter.reason == "unmatched"
    assert "video.gone" in letter.error and "a" in letter.error


def test_a_message_over_the_size_limit_is_kept_unread(settings):
    """``MAX_MESSAGE_BYTES`` holds for what arrives, too."""
    settings.TASKROUTING = {"MAX_MESSAGE_BYTES": 100}
    subscribe("video.#", queue="video_queue", name="a")(print)
    here, _ = site()

    delivery.deliver(arrival(json.dumps("x" * 200).encode()), here)

    assert "MAX_MESSAGE_BYTES" in DeadLetter.objects.get().error


def test_an_event_nobody_wants_is_a_dead_letter(settings, run_subscribers):
    """Unroutable is noticed where it happens."""
    settings.TASKROUTING = {"AUDIT": {"queue": None}}
    event = publish("nobody.listens")
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.event_id) == ("unroutable", event.id)

    settings.TASKROUTING = {"AUDIT": {"queue": None}, "UNROUTED": "ignore"}
    publish("nobody.listens")
    assert DeadLetter.objects.count() == 1


def test_a_batch_is_handed_over_together(run_subscribers):
    """A batch subscription gets a list, and each event is recorded for itself."""
    sizes: list[int] = []
    subscribe("bulk.#", queue="bulk_queue", name="bulk", batch=Batch(size=100))(
        lambda events: sizes.append(len(events))
    )

    publish_many([(f"bulk.{number}", None) for number in range(5)])
    run_subscribers()

    assert sizes == [5]
    assert Delivery.objects.filter(state="handled", attempts=1).count() == 5


def test_a_failing_batch_charges_only_the_culprit(run_subscribers):
    """The batch is split until the one that fails is alone; the others commit, once each."""

    @subscribe(
        "bulk.#", queue="bulk_queue", name="bulk", batch=Batch(), retry=Retry(max_attempts=1)
    )
    def store_all(events):
        for event in events:
            Group.objects.create(name=event.id)
            if event.data == 3:
                raise ValueError("three")

    published = publish_many([("bulk.item", number) for number in range(8)])
    run_subscribers()

    names = set(Group.objects.values_list("name", flat=True))
    assert names == {event.id for event in published if event.data != 3}
    assert DeadLetter.objects.get().event_id == published[3].id
    assert Delivery.objects.filter(state="handled").count() == 7


def test_an_event_recorded_twice_is_one_row(run_subscribers):
    """Whatever is delivered again, the audit log has it once."""
    event = publish("user.login")
    publish_many([event])
    run_subscribers()

    assert AuditLog.objects.filter(event_id=event.id).count() == 1


def test_one_callback_that_raises_takes_no_neighbour_along(
    run_subscribers, django_capture_on_commit_callbacks
):
    """``on_commit`` callbacks of a handler are isolated, and its outcome stands."""
    called: list[str] = []

    @subscribe("video.#", queue="video_queue", name="a")
    def handler(event):
        transaction.on_commit(lambda: called.append(1 / 0))
        transaction.on_commit(lambda: called.append("second"))

    publish("video.upload")
    with django_capture_on_commit_callbacks() as callbacks:
        runs = run_subscribers()

    assert outcomes(runs) == [Outcome.HANDLED]
    assert len(callbacks) >= 2


def test_a_raw_message_in_the_store_reaches_its_queue(run_subscribers):
    """What a foreign producer put on a ``django://`` queue is handled like any message."""
    seen: list[object] = []
    subscribe("depot.#", queue="depot_queue", name="a")(lambda event: seen.append(event.data))
    store.put(
        [
            Parcel(
                queue="depot_queue",
                routing_key="depot.moved",
                body=b'{"from": 1}',
                content_type="application/json",
            )
        ]
    )

    run_subscribers()

    assert seen == [{"from": 1}]


@pytest.mark.parametrize("effects", ["database", "external"])
def test_a_handler_that_runs_too_long_is_stopped(run_subscribers, effects):
    """``timeout`` ends a loop of Python code; the attempt is recorded as timed out."""

    @subscribe("video.#", queue="video_queue", name="a", effects=effects, timeout=0.05)
    def spin(event):
        while True:
            pass

    publish("video.upload")

    assert outcomes(run_subscribers()) == [Outcome.RETRY]
    assert "HandlerTimeout" in Delivery.objects.get().errors[0]["exception"]


def test_an_async_handler_that_runs_too_long_is_cancelled(run_subscribers):
    """``timeout`` cancels an ``async def`` handler at its await."""

    @subscribe("video.#", queue="video_queue", name="a", timeout=0.05)
    async def forever(event):
        await asyncio.Event().wait()

    publish("video.upload")

    assert outcomes(run_subscribers()) == [Outcome.RETRY]
    assert "HandlerTimeout" in Delivery.objects.get().errors[0]["exception"]


def test_a_handler_in_time_is_not_disturbed(run_subscribers):
    """A timeout that was not reached leaves no trace in what runs next in the thread."""
    subscribe("video.#", queue="video_queue", name="a", timeout=0.01)(lambda event: None)

    for _ in range(50):
        publish("video.upload")
    runs = run_subscribers()

    assert outcomes(runs) == [Outcome.HANDLED] * 50


@pytest.mark.django_db(databases=["default", "other"])
def test_a_write_that_does_not_commit_with_the_claim_is_noticed(run_subscribers):
    """A database handler that writes on another alias gets a warning that names it."""

    @subscribe("video.#", queue="video_queue", name="a")
    def stray(event):
        Group.objects.using("other").create(name="far away")

    publish("video.upload")

    with pytest.warns(StrayWriteWarning, match="'other'"):
        run_subscribers()
