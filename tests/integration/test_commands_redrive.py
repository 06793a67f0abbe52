"""Do the commands that redrive and prune touch what is named, and nothing else?"""

from __future__ import annotations

import getpass
from datetime import timedelta

import pytest

from taskrouting import Reject, publish, subscribe
from taskrouting.dead_letters import records
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

    assert run("redrive_dead_letters", "--subscription", "transcode") == (
        "Dead letters to redrive: 1.\nDead letters redriven: 1.\n"
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
        (["--event", "2"], {"2"}),
        (["--error", "ConnectionError"], {"3"}),
        (["--queue", "nobody's"], set()),
        (["--all"], {"1", "2", "3"}),
    ],
)
def test_only_what_is_named_is_redriven(options, chosen):
    """The filters narrow each other, and what is resolved is not touched."""
    dead_letter(event_id="1", queue="q1", subscription="s1")
    dead_letter(event_id="2", queue="q1", subscription="s2")
    error = "Traceback ...\nbuiltins.ConnectionError: no mail server\n"
    dead_letter(event_id="3", queue="q2", subscription="s1", reason="refused", error=error)
    records.resolve(dead_letter(event_id="4", queue="q1"), DeadLetter.Resolution.DISCARDED)

    assert run("redrive_dead_letters", *options, "--dry-run") == (
        f"Dead letters that would be redriven: {len(chosen)}.\n"
    )
    assert DeadLetter.objects.filter(resolved_at=None).count() == 3

    assert f"Dead letters redriven: {len(chosen)}.\n" in run("redrive_dead_letters", *options)
    redriven = DeadLetter.objects.filter(resolution="redriven")
    assert {letter.event_id for letter in redriven} == chosen
    assert set(Message.objects.filter(body=b"{}").values_list("event_id", flat=True)) == chosen


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "Name a --queue, --subscription, --reason, --event or --error, or else"),
        (["--dry-run"], "or else pass --all"),
        (["--all", "--queue", "q"], "or else pass --all"),
        (["--reason", "boredom"], "invalid choice: 'boredom'"),
        (["--all", "--rate", "0"], "'0' is no rate"),
        (["--all", "--rate", "fast"], "'fast' is no rate"),
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
