"""Does ``prune_router_history`` forget what is done with, and nothing that is still needed?"""

from __future__ import annotations

import getpass
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from taskrouting import Retry, operators, publish, subscribe
from taskrouting.dead_letters import records
from taskrouting.management.commands import prune_router_history
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message, Sweep
from taskrouting.transport import store
from taskrouting.transport.messages import Message as Parcel
from tests.integration.commands import refused, run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]

State, UNROUTABLE = Delivery.State, DeadLetter.Reason.UNROUTABLE

DAY = timedelta(days=1)


def delivery(
    event: object, state: str, finished: timedelta | None, lasted: timedelta = DAY
) -> None:
    """Put a delivery that ended ``finished`` ago, and had ``lasted`` so long, into the ledger."""
    row = Delivery.objects.create(
        event_id=str(event), source="s", subscription="n", queue="q", routing_key="k", state=state
    )
    if finished is not None:
        times = {"received_at": F("received_at") - finished - lasted}
        times["finished_at"] = F("received_at") - finished
        Delivery.objects.filter(pk=row.pk).update(**times)


def letter_of(event: str, resolved: timedelta | None) -> None:
    """Keep a dead letter, long ago, that was resolved so long ago, or not yet."""
    records.keep_message(
        Parcel(body=b"{}", routing_key="a.b", event_id=event), UNROUTABLE, "nobody"
    )
    moved = None if resolved is None else F("created_at") - resolved
    DeadLetter.objects.filter(event_id=event).update(
        resolved_at=moved, created_at=F("created_at") - 99 * DAY
    )


def sweep(note: str, state: str, finished: timedelta | None) -> None:
    """Keep a sweep, begun long ago, that ended so long ago, or not yet."""
    row = Sweep.objects.create(deed="redrive", upto=9, matched=9, rate=20, note=note, state=state)
    ended = None if finished is None else F("started_at") - finished
    Sweep.objects.filter(pk=row.pk).update(
        finished_at=ended, started_at=F("started_at") - 99 * DAY, due_at=F("due_at") - 99 * DAY
    )


def remembered() -> list[str]:
    """The events that the ledger still knows."""
    return list(Delivery.objects.order_by("pk").values_list("event_id", flat=True))


def test_history_is_pruned_and_nothing_else(monkeypatch):
    """What is done with and old goes; what somebody may still need stays."""
    monkeypatch.setattr("taskrouting.dead_letters.pruning.STEP", 2)
    for number, state in enumerate([State.HANDLED, State.DISCARDED, State.HANDLED] * 2):
        delivery(number, state, 8 * DAY)
    kept = [(State.HANDLED, 6 * DAY), (State.DISCARDED, 6 * DAY), (State.DEAD, 99 * DAY)]
    kept += [(State.PENDING, None), (State.RUNNING, None), (State.PENDING, 99 * DAY)]
    for number, (state, finished) in enumerate(kept, start=10):
        delivery(number, state, finished)
    for event, resolved in [("old", 8 * DAY), ("new", 6 * DAY), ("open", None)]:
        letter_of(event, resolved)
    AuditLog.objects.create(
        event_id="1", source="s", routing_key="k", occurred_at="2001-01-01T00:00:00Z"
    )
    publish("a.b")

    printed = run("prune_router_history", "--older-than", "7")

    assert printed == "Deliveries deleted: 6.\nDead letters deleted: 1.\nSweeps deleted: 0.\n"
    assert list(Delivery.objects.order_by("pk").values_list("state", flat=True)) == [
        state for state, _ in kept
    ]
    assert set(DeadLetter.objects.values_list("event_id", flat=True)) == {"new", "open"}
    assert AuditLog.objects.exists()
    assert Message.objects.exists()


def test_sweeps_that_ended_are_pruned_too():
    """However they ended; one that still runs has letters to come, however long it takes."""
    for state in ("finished", "stopped", "failed"):
        sweep("old", state, 8 * DAY)
        sweep("young", state, 6 * DAY)
    sweep("runs", "running", None)

    printed = run("prune_router_history", "--older-than", "7")

    assert "Sweeps deleted: 3.\n" in printed
    assert Counter(Sweep.objects.values_list("note", flat=True)) == {"young": 3, "runs": 1}


@pytest.mark.parametrize("days", ["0", "-3", "36501", "soon", "0.5"])
def test_an_age_that_would_delete_too_much_is_refused(days):
    """Less than a day may be younger than a message that is still on its way."""
    delivery(1, State.HANDLED, 99 * DAY)

    refused("prune_router_history", f"--older-than={days}")

    assert Delivery.objects.exists()


def test_pruning_needs_an_age_and_warns_of_late_duplicates():
    """There is no default that is right for everybody, and the help says what to think of."""
    assert "--older-than" in refused("prune_router_history")
    assert "is handled again" in prune_router_history.Command.help


def test_what_began_before_and_ended_after_stays():
    """It is the end that counts: a copy may come as late after it as after any other."""
    delivery("long", State.HANDLED, 6 * DAY, lasted=30 * DAY)
    delivery("old", State.HANDLED, 8 * DAY)

    run("prune_router_history", "--older-than", "7")

    assert remembered() == ["long"]


def test_an_event_of_which_a_message_waits_is_remembered():
    """A copy that the outbox sends again, or a neighbour's retry, finds the delivery there."""
    for event in ("waits", "gone"):
        delivery(event, State.HANDLED, 99 * DAY)
    copy = Parcel(queue="q", body=b"{}", routing_key="k", event_id="waits")
    store.put([copy], using="default")

    run("prune_router_history", "--older-than", "7")
    assert remembered() == ["waits"]

    Message.objects.filter(event_id="waits").delete()
    run("prune_router_history", "--older-than", "7")
    assert remembered() == []


@pytest.mark.django_db(databases=["default", "other"])
def test_another_outbox_is_looked_at_too(settings):
    """The row of an event may wait on the database where it was published."""
    settings.TASKROUTING = {"OUTBOX_DATABASES": ["default", "other"]}
    delivery("waits", State.HANDLED, 99 * DAY)
    store.put([Parcel(body=b"{}", routing_key="k", event_id="waits")], using="other")

    run("prune_router_history", "--older-than", "7")

    assert remembered() == ["waits"]


def test_an_event_with_a_dead_letter_is_remembered():
    """A redrive may send the whole message again, and who has handled it must not do so twice."""
    for event, resolved in [("open", None), ("redriven lately", DAY), ("long ago", 98 * DAY)]:
        delivery(event, State.HANDLED, 99 * DAY)
        letter_of(event, resolved)

    run("prune_router_history", "--older-than", "7")

    assert remembered() == ["open", "redriven lately"]


@pytest.mark.parametrize(
    ("subscribed", "taskrouting", "named"),
    [
        (Retry(ceiling=3 * DAY), {}, "a retry waits up to 3 days"),
        (
            Retry(),
            {
                "BROKER_URL": "redis://127.0.0.1:1//",
                "TRANSPORT_OPTIONS": {"visibility_timeout": 259200},
            },
            "the broker hands out again after 3 days",
        ),
    ],
)
def test_what_may_come_again_is_not_forgotten(settings, subscribed, taskrouting, named):
    """An age below the longest possible redelivery is refused with what makes it so long."""
    settings.TASKROUTING = taskrouting
    subscribe("k", queue="q", name="n", retry=subscribed)(print)
    delivery("late", State.HANDLED, 99 * DAY)

    printed = refused("prune_router_history", "--older-than", "3")

    assert named in printed
    assert "Keep at least 4 days." in printed
    assert remembered() == ["late"]
    run("prune_router_history", "--older-than", "4")
    assert remembered() == []


def test_who_pruned_is_in_the_audit_log(run_subscribers):
    """One event for the whole run, with its actor; where nothing went, nothing is told."""
    delivery("young", State.HANDLED, DAY)
    run("prune_router_history", "--older-than", "7")
    run_subscribers()
    assert not AuditLog.objects.exists()
    delivery("old", State.HANDLED, 99 * DAY)
    letter_of("old", 98 * DAY)

    run("prune_router_history", "--older-than", "7")
    run_subscribers()

    record = AuditLog.objects.get()
    assert record.routing_key == "taskrouting.operator.pruned"
    assert record.actor == f"command:{getpass.getuser()}"
    assert record.data == {"older_than_days": 7.0}


def test_it_may_be_left_at_any_point(monkeypatch):
    """Each step has committed what it deleted; the next run goes on from there."""
    monkeypatch.setattr("taskrouting.dead_letters.pruning.STEP", 2)
    for event in "abcdef":
        delivery(event, State.HANDLED, 99 * DAY)

    steps: Any = operators.prune(7 * DAY)
    model, step = next(steps)
    steps.close()

    assert (model, step.deleted) == (Delivery, 2)
    assert remembered() == ["c", "d", "e", "f"]


def test_the_walk_ends_where_everything_is_young(monkeypatch, django_assert_max_num_queries):
    """However many young rows there are, they are not looked at."""
    monkeypatch.setattr("taskrouting.dead_letters.pruning.STEP", 1)
    delivery("old", State.HANDLED, 99 * DAY)
    for number in range(50):
        delivery(number, State.HANDLED, DAY)

    with django_assert_max_num_queries(25):
        steps = list(operators.prune(7 * DAY))

    assert [step.deleted for _, step in steps] == [1]


def test_the_share_of_the_way_that_is_behind_grows_to_the_whole(monkeypatch):
    """That is what the bar shows: how much of the time before the cut-off has been seen."""
    monkeypatch.setattr("taskrouting.dead_letters.pruning.STEP", 1)
    for age in (107, 57, 9):
        delivery(age, State.HANDLED, (age - 1) * DAY)

    shares = [step.done for _, step in operators.prune(7 * DAY)]

    assert shares == pytest.approx([0.0, 0.5, 0.98], abs=0.001)
