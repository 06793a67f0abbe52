"""Whose crash is it? A suspect runs alone, and only what ran alone is charged.

A process that dies in the middle of a handler is played by an exception that nothing of ours
catches; what the broker does then, by taking the leased copy out of the store when it is due.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models import F

from taskrouting import Retry, publish, subscribe
from taskrouting.consuming import delivery, ledger
from taskrouting.consuming.judging import Outcome
from taskrouting.consuming.site import Site
from taskrouting.models import DeadLetter, Delivery, Message
from taskrouting.transport import receiving, store
from taskrouting.transport.messages import Arrival
from tests.integration.copies import arrival, outcomes, site

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]


class Killed(BaseException):
    """The process dies: nothing of ours runs after it."""


def run(copy: Arrival, here: Site) -> list[Outcome] | None:
    """Deliver one copy; ``None`` when the process died over it."""
    try:
        return delivery.deliver(copy, here)
    except Killed:
        return None


def come_again() -> Arrival:
    """The one copy that waits in the store, when its time has come."""
    store.hasten(using="default")
    (row,) = store.claim("video_queue", 10, timedelta(minutes=1), using="default")
    store.settle([row], using="default")
    return receiving.arrival_of(row, "video_queue")


def kill(event: object) -> None:
    """Take the worker down."""
    raise Killed


@pytest.mark.parametrize("effects", ["database", "external"])
def test_a_suspect_that_takes_its_worker_down_five_times_is_dead(effects):
    """Whatever its effects: each time its lease runs out is one crash, and five are a dead letter.

    ``MAX_CRASHES`` deaths, and no more: every copy that comes back runs as a suspect again.
    """
    subscribe("video.#", queue="video_queue", name="poison", effects=effects)(kill)
    here, _ = site()

    assert run(arrival(b"{}", redelivered=True), here) is None
    for crash in range(1, 5):
        assert run(come_again(), here) is None
        assert Delivery.objects.get().crashes == crash
    assert run(come_again(), here) == [Outcome.DEAD]

    row = Delivery.objects.get()
    assert (row.state, row.crashes, row.attempts, row.errors) == ("dead", 5, 0, [])
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.delivery) == ("crashed", row.pk)
    assert "MAX_CRASHES is 5" in letter.error
    assert not Message.objects.exists()


def test_a_first_death_makes_a_suspect_and_is_no_crash():
    """What ran beside others may be innocent: it is put aside uncharged, to run alone."""
    subscribe("video.#", queue="video_queue", name="a", effects="external")(kill)
    here, acknowledged = site()

    assert run(arrival(b"{}"), here) is None
    assert run(come_again(), here) == [Outcome.SNOOZED]
    row = Delivery.objects.get()
    assert (row.state, row.crashes, row.suspect) == ("pending", 0, True)
    assert len(acknowledged) == 2

    assert run(come_again(), here) is None
    assert run(come_again(), here) is None
    assert Delivery.objects.get().crashes == 1


def test_one_suspect_runs_at_a_time_in_a_process():
    """Another one is put aside: neither attempt nor crash is counted, and it stays a suspect."""
    ran: list[str] = []
    subscribe("video.#", queue="video_queue", name="a")(lambda event: ran.append(event.id))
    here, acknowledged = site()

    with here.suspect_runs:  # one runs in another thread
        assert run(arrival(b"{}", redelivered=True), here) == [Outcome.SNOOZED]
        assert run(arrival(b"{}"), here) == [Outcome.HANDLED]
        assert len(ran) == 1
        assert len(acknowledged) == 2
    copy = come_again()

    assert copy.redelivered
    assert run(copy, here) == [Outcome.HANDLED]
    row = Delivery.objects.order_by("pk").first()
    assert (row.state, row.attempts, row.crashes) == ("handled", 1, 0)
    assert not here.suspect_runs.locked()


def test_a_suspect_that_several_want_stays_one():
    """Each subscription gets a copy of its own, and each copy is a suspect's."""
    for name in ("a", "b"):
        subscribe("video.#", queue="video_queue", name=name)(lambda event: None)
    here, _ = site()

    assert run(arrival(b"{}", redelivered=True), here) == []

    rows = store.claim("video_queue", 10, timedelta(minutes=1), using="default")
    copies = [receiving.arrival_of(row, "video_queue") for row in rows]
    assert [copy.subscription for copy in copies] == ["a", "b"]
    assert all(copy.redelivered for copy in copies)


@pytest.mark.parametrize("effects", ["database", "external"])
def test_what_a_stopping_worker_runs_is_excused(effects):
    """Told to stop and killed before it could hand over: the deploy's fault, and no crash."""
    subscribe("video.#", queue="video_queue", name="a", effects=effects)(kill)
    here, _ = site()

    assert run(arrival(b"{}", redelivered=True), here) is None
    for _ in range(7):
        ledger.excuse([Delivery.objects.get().token])  # it was told before it was killed
        assert run(come_again(), here) is None

    row = Delivery.objects.get()
    assert (row.state, row.crashes, row.attempts) == ("running", 0, 0)
    assert not DeadLetter.objects.exists()


def test_what_is_excused_and_finishes_is_recorded():
    """A stopping worker's handler that ends in time has an outcome like any other."""
    here, _ = site()
    subscribe("video.#", queue="video_queue", name="a", effects="external")(
        lambda event: ledger.excuse(here.leases.tokens())
    )

    assert run(arrival(b"{}"), here) == [Outcome.HANDLED]
    assert Delivery.objects.get().state == "handled"


@pytest.mark.parametrize("counted", [1, 0])
def test_a_worker_that_wakes_up_takes_its_crash_back(counted):
    """Silent is not dead: who finds its delivery taken over says that it was no crash.

    There is nothing to take back where nothing was counted: it had handed the delivery over itself.
    """
    here, _ = site()

    @subscribe("video.#", queue="video_queue", name="a", effects="external")
    def sleep_through_the_lease(event):
        # Another worker has taken over.
        Delivery.objects.update(token=uuid4(), crashes=F("crashes") + counted)

    assert run(arrival(b"{}", redelivered=True), here) == [Outcome.LOST]
    assert Delivery.objects.get().crashes == 0


def test_every_failed_attempt_is_kept(run_subscribers):
    """Number, start, duration, worker and exception of each; the traceback of the last twenty."""

    @subscribe("video.#", queue="video_queue", name="a", retry=Retry(max_attempts=25))
    def fail(event):
        raise ValueError("no")

    publish("video.upload")
    assert outcomes(run_subscribers(wait_for_delays=True))[-1] == Outcome.DEAD

    errors = Delivery.objects.get().errors
    assert [error["attempt"] for error in errors] == list(range(1, 26))
    keys = {"attempt", "started", "duration", "worker", "exception", "message", "traceback"}
    assert all(error.keys() == keys for error in errors)
    assert {error["exception"] for error in errors} == {"builtins.ValueError"}
    assert [bool(error["traceback"]) for error in errors] == [False] * 5 + [True] * 20
