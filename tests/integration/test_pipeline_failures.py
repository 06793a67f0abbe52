"""What happens when a handler fails, gives a verdict, or runs too long?"""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from taskrouting import (
    Batch,
    Discard,
    Reject,
    Retry,
    Snooze,
    publish,
    publish_many,
    subscribe,
)
from taskrouting.consuming.judging import Outcome
from taskrouting.exceptions import StrayWriteWarning
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message
from tests.integration.copies import outcomes
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]


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


def test_a_rolled_back_handler_published_nothing(run_subscribers):
    """Events of a handler that failed are rolled back with its writes."""

    @subscribe("video.upload", queue="video_queue", name="a")
    def fail(event):
        publish("video.ready")
        raise ValueError

    publish("video.upload")
    run_subscribers()

    assert not AuditLog.objects.filter(routing_key="video.ready").exists()


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
    """A timeout that was not reached leaves nobody watching what runs next in the thread."""
    subscribe("video.#", queue="video_queue", name="a", timeout=600)(lambda event: None)

    publish("video.upload")
    assert outcomes(run_subscribers()) == [Outcome.HANDLED]

    def watched():
        return [thread for thread in threading.enumerate() if thread.name == "timeout"]

    wait_until(lambda: not watched(), message="whoever watched the handler to go")


@pytest.mark.django_db(databases=["default", "other"])
def test_a_write_that_does_not_commit_with_the_claim_is_noticed(run_subscribers):
    """A database handler that writes on another alias gets a warning that names it."""

    @subscribe("video.#", queue="video_queue", name="a")
    def stray(event):
        Group.objects.using("other").create(name="far away")

    publish("video.upload")

    with pytest.warns(StrayWriteWarning, match="'other'"):
        run_subscribers()
