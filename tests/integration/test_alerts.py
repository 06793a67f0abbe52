"""Who is told that a limit is passed? Once, whoever looks, and again that it is over."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connections
from django.db.models.functions import Now

from taskrouting.alerts import alarms, measuring, watching
from taskrouting.models import Alarm, AuditLog, DeadLetter, Delivery, Message
from taskrouting.transport.messages import OUTBOX

pytestmark = pytest.mark.django_db

HERE = __name__

told: list = []


def note(alert):
    """Take an alert, as a project's function would."""
    told.append(alert)


def fail(alert):
    """Fail, as a project's function may."""
    raise OSError("no network")


@pytest.fixture
def watching_for(settings):
    """Set ALERTS; nothing has been told yet."""
    told.clear()

    def configure(**limits):
        settings.TASKROUTING = {"SOURCE": "tests", "ALERTS": {"to": f"{HERE}.note", **limits}}

    return configure


def later(seconds):
    """Let so much time pass for what was told and heard."""
    for field in ("told_at", "raised_at", "heard_at"):
        rows = Alarm.objects.filter(**{f"{field}__isnull": False})
        for row in rows:
            moved = {field: getattr(row, field) - timedelta(seconds=seconds)}
            Alarm.objects.filter(pk=row.pk).update(**moved)


def outbox(age):
    """Let an event have waited in the outbox for so many seconds."""
    row = Message.objects.create(queue=OUTBOX, body=b"{}", routing_key="a", available_at=Now())
    row.refresh_from_db()
    at = row.created_at - timedelta(seconds=age)
    Message.objects.filter(pk=row.pk).update(created_at=at, available_at=at)


def delivery(number, **values):
    """Write one delivery into the ledger."""
    known = {"event_id": str(number), "source": "s", "subscription": "x", "queue": "video_queue"}
    Delivery.objects.create(**{**known, "state": "handled", "attempts": 1, **values})


def test_a_limit_is_told_once_and_again_after_the_cooldown(watching_for):
    """Who has been told is left in peace for a while, and then reminded."""
    watching_for(outbox_age=300, cooldown=600)
    outbox(age=400)

    watching.look()
    watching.look()
    assert [(each.kind, each.subject, each.over) for each in told] == [
        ("outbox_age", "default", False)
    ]
    assert told[0].threshold == 300
    assert 400 <= told[0].value < 500
    assert told[0].sentence.startswith("The oldest event that is due in the outbox of database")

    later(601)
    watching.look()
    assert len(told) == 2


def test_that_it_is_over_is_told_too(watching_for):
    """Once, and not to those who heard of nothing."""
    watching_for(outbox_age=300, cooldown=600)
    outbox(age=400)
    watching.look()
    Message.objects.all().delete()

    watching.look()
    watching.look()
    assert [each.over for each in told] == [False, True]
    assert told[1].sentence.startswith("Over: ")

    outbox(age=400)
    watching.look()  # within the cooldown: it flaps
    Message.objects.all().delete()
    watching.look()
    assert len(told) == 2


def test_dead_letters_are_counted_no_further_than_it_takes(watching_for):
    """A million of them cost no more than the limit."""
    watching_for(dead_letters=2)
    for _ in range(3):
        DeadLetter.objects.create(reason="rejected", queue="q", body=b"")

    watching.look()

    assert [each.value for each in told] == [2]
    assert told[0].sentence == "2 or more dead letters are open; the limit is 2."


@pytest.mark.parametrize(
    ("values", "rate"),
    [
        ({}, 0.0),
        ({"state": "dead", "attempts": 10}, 0.1),
        ({"state": "pending", "attempts": 1}, 0.1),
        ({"state": "pending", "attempts": 0}, 0.0),
        ({"state": "handled", "attempts": 2}, 0.1),
        ({"state": "discarded", "attempts": 1}, 0.0),
    ],
)
def test_the_failure_rate_is_that_of_the_newest_deliveries(watching_for, values, rate):
    """What was tried again or given up on has failed; what is old or rare says nothing."""
    watching_for(failure_rate=0.1)
    for number in range(8):
        delivery(number)
    delivery("one", **values)
    assert measuring.failure_rate() == 0.0  # too few

    delivery("last")
    assert measuring.failure_rate() == rate
    watching.look()
    assert len(told) == (rate > 0)

    old = Delivery.objects.first().received_at - timedelta(minutes=6)
    Delivery.objects.update(received_at=old)
    assert measuring.failure_rate() == 0.0


@pytest.mark.parametrize("queue", ["video_queue", "audit_queue"])
def test_a_queue_to_which_nothing_comes_is_told(watching_for, queue):
    """From the first look on; something that comes ends it."""
    watching_for(silent_queue={queue: 3600})
    arrive("before")
    watching.look()
    later(3601)
    watching.look()
    assert [(each.kind, each.subject) for each in told] == [("silent_queue", queue)]

    delivery("elsewhere", queue="mail_queue")
    watching.look()
    assert len(told) == 1

    arrive("after")
    watching.look()
    assert [each.over for each in told] == [False, True]


def arrive(number):
    """Let one event come to the video queue and to the audit queue."""
    delivery(number)
    AuditLog.objects.create(
        event_id=number, source="s", routing_key="video.upload", occurred_at=Now()
    )


def test_a_receiver_that_fails_is_logged_and_tried_again_soon(settings, watching_for, caplog):
    """An alert is not lost because a mail server was away for a minute."""
    watching_for(outbox_age=300, to=f"{HERE}.fail")
    outbox(age=400)

    watching.look()
    assert "The alert reached nobody: The oldest event" in caplog.text
    assert "no network" in caplog.text

    watching_for(outbox_age=300)
    watching.look()
    assert told == []
    later(301)
    watching.look()
    assert len(told) == 1


def test_people_are_told_by_mail(watching_for):
    """With Django's mail, from its default address."""
    watching_for(dead_letters=1, to=["ops@example.org", "ana@example.org"])
    DeadLetter.objects.create(reason="rejected", queue="q", body=b"")

    watching.look()

    [message] = mail.outbox
    assert message.to == ["ops@example.org", "ana@example.org"]
    assert message.subject == "[tests] alert: dead_letters"
    assert message.body == "1 or more dead letters are open; the limit is 1.\n"


def test_only_one_looks_at_a_time():
    """Whoever comes within the half minute has no turn."""
    assert alarms.take_turn(timedelta(seconds=30))
    assert not alarms.take_turn(timedelta(seconds=30))
    later(31)
    assert alarms.take_turn(timedelta(seconds=30))


@pytest.mark.django_db(transaction=True)
def test_of_many_who_would_tell_at_once_one_does():
    """On two hosts, at the same instant: the database decides."""
    answers: list[bool] = []
    together = threading.Barrier(4)

    def ask():
        together.wait()
        answers.append(alarms.to_tell("outbox_age", "default", timedelta(minutes=30)))
        connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [False, False, False, True]


def test_looking_costs_few_queries_however_much_there_is(
    watching_for, django_assert_max_num_queries
):
    """Each limit is one bounded question, or a few."""
    watching_for(
        outbox_age=300, failure_rate=0.2, dead_letters=1, silent_queue={"video_queue": 3600}
    )
    watching.look()

    with django_assert_max_num_queries(11):
        watching.look()


def test_that_it_is_over_is_told_until_somebody_hears_it(watching_for):
    """A receiver that fails once does not leave people with an alarm for ever."""
    watching_for(outbox_age=300)
    outbox(age=301)
    watching.look()
    Message.objects.all().delete()
    watching_for(outbox_age=300, to=f"{HERE}.fail")
    watching.look()
    watching_for(outbox_age=300)
    watching.look()
    watching.look()

    assert [each.over for each in told] == [False, True]


def test_looking_survives_what_goes_wrong(settings, monkeypatch, caplog):
    """Alerts are a convenience; the process that looks has work to do."""
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(watching, "ASKING", 0)
    monkeypatch.setattr(watching.connections, "close_all", lambda: None)
    stop = threading.Event()

    def broken():
        stop.set()
        raise RuntimeError("something odd")

    monkeypatch.setattr(watching, "look", broken)
    watching.watch(stop)

    assert "Alerts could not be looked at." in caplog.text
