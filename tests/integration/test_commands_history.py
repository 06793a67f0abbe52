"""Do the commands that redrive and prune touch what is named, and nothing else?"""

from __future__ import annotations

import getpass
from datetime import timedelta

import pytest
from django.db.models import F

from taskrouting import Reject, publish, subscribe
from taskrouting.dead_letters import records
from taskrouting.management.commands import prune_router_history
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message
from taskrouting.transport.messages import Message as Parcel
from tests.integration.commands import refused, run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]

State, Reason = Delivery.State, DeadLetter.Reason

DAY = timedelta(days=1)


def dead_letter(**values: str) -> DeadLetter:
    """Keep a message that never left, as an unroutable one."""
    message = Parcel(body=b"{}", routing_key="a.b", event_id=values.pop("event_id", "1"))
    records.keep_message(message, Reason.UNROUTABLE, "nobody")
    letter = DeadLetter.objects.latest("pk")
    DeadLetter.objects.filter(pk=letter.pk).update(**values)
    letter.refresh_from_db()
    return letter


def test_a_dead_letter_goes_round_again(run_subscribers):
    """A rejected delivery runs once more, for its own subscription, and it is told by whom."""
    mended = False

    @subscribe("video.#", queue="video_queue", name="transcode")
    def transcode(event):
        if not mended:
            raise Reject("no video")

    event = publish("video.upload")
    run_subscribers()
    mended = True

    assert (
        run("redrive_dead_letters", "--subscription", "transcode") == "Dead letters redriven: 1.\n"
    )
    run_subscribers()

    assert Delivery.objects.get().state == State.HANDLED
    letter = DeadLetter.objects.get()
    assert (letter.resolution, letter.note) == ("redriven", "redrive_dead_letters")
    record = AuditLog.objects.get(routing_key="taskrouting.operator.redriven")
    assert record.actor == f"command:{getpass.getuser()}"
    assert record.data["event_id"] == event.id


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (["--queue", "q1"], {"1", "2"}),
        (["--subscription", "s1"], {"1", "3"}),
        (["--reason", "refused"], {"3"}),
        (["--queue", "q1", "--subscription", "s1"], {"1"}),
        (["--queue", "nobody's"], set()),
        (["--all"], {"1", "2", "3"}),
    ],
)
def test_only_what_is_named_is_redriven(options, chosen):
    """The filters narrow each other, and what is resolved is not touched."""
    dead_letter(event_id="1", queue="q1", subscription="s1")
    dead_letter(event_id="2", queue="q1", subscription="s2")
    dead_letter(event_id="3", queue="q2", subscription="s1", reason="refused")
    records.resolve(dead_letter(event_id="4", queue="q1"), DeadLetter.Resolution.DISCARDED)

    assert run("redrive_dead_letters", *options, "--dry-run") == (
        f"Dead letters that would be redriven: {len(chosen)}.\n"
    )
    assert DeadLetter.objects.filter(resolved_at=None).count() == 3

    assert run("redrive_dead_letters", *options) == f"Dead letters redriven: {len(chosen)}.\n"
    redriven = DeadLetter.objects.filter(resolution="redriven")
    assert {letter.event_id for letter in redriven} == chosen
    assert set(Message.objects.filter(body=b"{}").values_list("event_id", flat=True)) == chosen


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "Name a --queue, --subscription or --reason, or else pass --all"),
        (["--dry-run"], "or else pass --all"),
        (["--all", "--queue", "q"], "or else pass --all"),
        (["--reason", "boredom"], "invalid choice: 'boredom'"),
    ],
)
def test_an_unclear_order_is_refused(options, reason):
    """A slip of the hand must not redrive everything."""
    dead_letter()

    assert reason in refused("redrive_dead_letters", *options)
    assert DeadLetter.objects.filter(resolved_at=None).count() == 1


def test_one_that_cannot_be_redriven_stops_nobody_else():
    """It is named with the reason and stays open; the others go; the command fails."""
    stuck = dead_letter(event_id="1")
    DeadLetter.objects.filter(pk=stuck.pk).update(delivery=4711)
    dead_letter(event_id="2")

    printed = refused("redrive_dead_letters", "--all")

    assert f"Dead letter {stuck.pk}: Dead letter {stuck.pk} belongs to delivery 4711" in printed
    assert "Dead letters redriven: 1." in printed
    assert printed.endswith("Dead letters that could not be redriven: 1.")
    assert [letter.pk for letter in DeadLetter.objects.filter(resolved_at=None)] == [stuck.pk]


def delivery(number: int, state: str, finished: timedelta | None) -> None:
    """Put a delivery that ended ``finished`` ago into the ledger."""
    row = Delivery.objects.create(
        event_id=str(number), source="s", subscription="n", queue="q", routing_key="k", state=state
    )
    if finished is not None:
        Delivery.objects.filter(pk=row.pk).update(finished_at=F("received_at") - finished)


def test_history_is_pruned_and_nothing_else(monkeypatch):
    """What is done with and old goes; what somebody may still need stays."""
    monkeypatch.setattr("taskrouting.dead_letters.pruning.BATCH", 2)
    for number, state in enumerate([State.HANDLED, State.DISCARDED, State.HANDLED] * 2):
        delivery(number, state, 8 * DAY)
    kept = [(State.HANDLED, 6 * DAY), (State.DISCARDED, 6 * DAY), (State.DEAD, 99 * DAY)]
    kept += [(State.PENDING, None), (State.RUNNING, None), (State.PENDING, 99 * DAY)]
    for number, (state, finished) in enumerate(kept, start=10):
        delivery(number, state, finished)
    for event_id, resolved in [("old", 8 * DAY), ("new", 6 * DAY), ("open", None)]:
        letter = dead_letter(event_id=event_id)
        moved = None if resolved is None else F("created_at") - resolved
        created = F("created_at") - 99 * DAY
        DeadLetter.objects.filter(pk=letter.pk).update(resolved_at=moved, created_at=created)
    AuditLog.objects.create(
        event_id="1", source="s", routing_key="k", occurred_at="2001-01-01T00:00:00Z"
    )
    publish("a.b")

    printed = run("prune_router_history", "--older-than", "7")

    assert printed == "Deliveries deleted: 6.\nDead letters deleted: 1.\n"
    assert list(Delivery.objects.order_by("pk").values_list("state", flat=True)) == [
        state for state, _ in kept
    ]
    assert set(DeadLetter.objects.values_list("event_id", flat=True)) == {"new", "open"}
    assert AuditLog.objects.exists()
    assert Message.objects.exists()


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
