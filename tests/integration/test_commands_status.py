"""Does ``router_status`` tell the truth, also when half of the installation is away?"""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.models import F

from taskrouting import Reject, health, publish, subscribe
from taskrouting.contrib.testing import run_subscribers
from taskrouting.dead_letters import records
from taskrouting.instruments import figures
from taskrouting.instruments.tally import Tally
from taskrouting.models import DeadLetter, Delivery, Message, WorkerProcess
from taskrouting.transport import broker, sending, store
from taskrouting.transport.messages import OUTBOX
from taskrouting.transport.messages import Message as Parcel
from tests.integration.commands import refused, run
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]

AWAY = "amqp://guest:secret@127.0.0.1:1//"
AGO = timedelta(seconds=90)

#: What the dashboard adds.
FROM_DASHBOARD = {"range", "parts", "figures", "subscriptions"}

#: The figures of an installation in which nothing has happened.
NOTHING = {
    "outbox": {"number": 0, "more": False}, "oldest": None,
    "published": 0.0, "published_average": 0.0, "handled": 0.0, "handled_average": 0.0,
    "failed": 0, "failure_rate": None, "latency_p50": None, "latency_p95": None,
    "dead_letters": {"number": 0, "more": False}, "audit_lag": None,
}  # fmt: skip


def status() -> Any:
    """What ``router_status --json`` says."""
    return json.loads(run("router_status", "--json"))


def test_a_new_installation_is_empty():
    """Everything is there, nothing waits, and the one thing to do is named."""
    assert run("router_status").splitlines() == [
        "Broker       django: reachable",
        "Relay        off: django:// needs none.",
        "Audit log    away: No worker consumes audit_queue.",
        "Outbox       default: 0 waiting",
        "Queue        audit_queue: 0 in the database",
        "Published    0.00/s, 0.00/s over 15m",
        "Handled      0.00/s, 0.00/s over 15m",
        "Deliveries   0 running, 0 pending, 0 dead",
        "Dead letters none is open",
        "Worker       none is alive; start one with run_router_worker",
    ]
    told = {key: value for key, value in status().items() if key not in FROM_DASHBOARD}
    assert told == {
        "broker": {"kind": "django", "reachable": True, "takes_messages": True, "error": ""},
        "outboxes": [
            {
                "database": "default",
                "waiting": {"number": 0, "more": False},
                "oldest": None,
                "error": "",
            }
        ],
        "queues": [
            {
                "name": "audit_queue",
                "declared": True,
                "on_broker": None,
                "in_database": {"number": 0, "more": False},
                "paused": False,
            }
        ],
        "deliveries": {
            state: {"number": 0, "more": False} for state in ("running", "pending", "dead")
        },
        "dead_letters": {},
        "workers": [],
    }


def test_the_dashboard_is_told_too():
    """Its parts, figures and subscriptions are keys of their own."""
    told = status()

    assert {each["name"]: each["state"] for each in told["parts"]} == {
        "broker": "ok", "relay": "off", "workers": "away", "audit": "away",
    }  # fmt: skip
    assert told["figures"] == NOTHING
    assert [each["subscription"] for each in told["subscriptions"]] == ["taskrouting.audit"]
    assert told["range"] == "15m"


def test_a_broker_that_is_away_is_said_and_no_failure(settings):
    """That is when somebody asks; the backlog and its age are what they need to know."""
    settings.TASKROUTING = {"BROKER_URL": AWAY}
    publish("a.b")
    publish("a.b", delay=3600)
    Message.objects.update(created_at=F("created_at") - AGO)
    publish("a.b")

    found = status()

    assert found["broker"]["reachable"] is False
    assert "127.0.0.1:1" in found["broker"]["error"]
    assert found["outboxes"][0]["waiting"]["number"] == 3
    assert 90 <= found["outboxes"][0]["oldest"] < 150
    printed = run("router_status")
    assert "Broker       amqp: NOT reachable: amqp://guest:**@127.0.0.1:1//" in printed
    assert "default: 3 waiting, the oldest for 0:01:3" in printed
    assert "secret" not in printed


def test_what_is_to_leave_later_is_not_late(settings):
    """An event that is delayed on purpose has no lag; one that a relay holds has."""
    settings.TASKROUTING = {"BROKER_URL": AWAY}
    publish("a.b", delay=3600)
    Message.objects.update(created_at=F("created_at") - AGO)
    assert status()["outboxes"][0]["oldest"] is None

    publish("a.b")
    store.claim(OUTBOX, 1, timedelta(minutes=1), using="default")

    assert status()["outboxes"][0]["oldest"] < 60


def test_every_queue_is_counted_where_its_messages_wait(settings):
    """Retries wait in the database; a queue that nobody declares any more is pointed out."""
    subscribe("video.#", queue="video_queue", name="video")(print)
    publish("video.upload")
    store.put([Parcel(body=b"", routing_key="a", queue="old_queue")], using="default")

    counted = {each["name"]: each for each in status()["queues"]}

    assert {name: each["in_database"]["number"] for name, each in counted.items()} == {
        "audit_queue": 1,
        "old_queue": 1,
        "video_queue": 1,
    }
    assert {name for name, each in counted.items() if not each["declared"]} == {"old_queue"}
    assert "old_queue: 1 in the database (the code declares no such queue)" in run("router_status")


@pytest.mark.parametrize("service", ["rabbitmq", "redis"])
def test_a_broker_is_asked_what_waits_there(service, request, settings, unique_name):
    """What the relay has sent is on the broker, and no longer in the database."""
    settings.TASKROUTING = {
        "BROKER_URL": request.getfixturevalue(f"{service}_url"),
        "EXCHANGE": unique_name,
        "AUDIT": {"queue": f"{unique_name}.audit"},
    }

    def counted() -> dict[str, int | None]:
        return {each["name"]: each["on_broker"] for each in status()["queues"]}

    assert counted()[f"{unique_name}.audit"] == (None if service == "rabbitmq" else 0)

    call_command("declare_topology")
    parcels = [Parcel(queue=f"{unique_name}.audit", body=b"", routing_key="k")] * 3
    with broker.current().connect() as connection:
        sender = sending.sender(broker.current(), connection, unique_name)
        # Confirmed: a quorum queue may lose what a connection that is closed has just sent.
        assert sender.send(parcels, hold=pytest.fail) == [sending.Fate.CONFIRMED] * 3

    wanted = {f"{unique_name}.audit": 3}
    if service == "rabbitmq":  # and what RabbitMQ gives up on
        wanted[f"{unique_name}.dead"] = 0
    wait_until(lambda: counted() == wanted, message=f"the broker to count {wanted}")
    assert f"{unique_name}.audit: 0 in the database, 3 on the broker" in run("router_status")


def test_deliveries_and_dead_letters_are_counted():
    """By state and by reason; what is resolved or done is history."""
    for number, state in enumerate(["running", "pending", "pending", "dead", "handled"]):
        Delivery.objects.create(
            event_id=number, source="s", subscription="n", queue="q", routing_key="k", state=state
        )
    for event_id, reason in enumerate(["exhausted", "exhausted", "unroutable", "rejected"]):
        parcel = Parcel(body=b"", routing_key="k", event_id=str(event_id))
        records.keep_message(parcel, DeadLetter.Reason(reason), "")
    records.resolve(
        DeadLetter.objects.get(reason="rejected"), DeadLetter.Resolution.DISCARDED, "seen"
    )

    printed = run("router_status")

    assert "Deliveries   1 running, 2 pending, 1 dead" in printed
    assert "Dead letters 2 exhausted, 1 unroutable\n" in printed


def test_counting_ends_where_nobody_needs_the_last_digit(monkeypatch):
    """A backlog of millions does not make the question slow."""
    monkeypatch.setattr(health, "MOST", 2)
    for number in range(3):
        publish("a.b")
        parcel = Parcel(body=b"", routing_key="k", event_id=str(number))
        records.keep_message(parcel, DeadLetter.Reason.REFUSED, "")

    found = status()

    assert found["queues"][0]["in_database"] == {"number": 2, "more": True}
    assert found["dead_letters"] == {"refused": {"number": 2, "more": True}}
    assert "audit_queue: 2+ in the database" in run("router_status")


def test_workers_are_alive_or_silent():
    """A worker that was not heard for a lease is called silent, and is not counted on."""
    for name in ("heard", "silent"):
        WorkerProcess.objects.create(
            name=name, host="h", pid=7, version="0.1", queues=["video_queue"], threads=4
        )
    WorkerProcess.objects.filter(name="silent").update(seen_at=F("seen_at") - AGO)

    printed = run("router_status")
    heard, silent = status()["workers"]

    assert (heard["alive"], silent["alive"]) == (True, False)
    assert (heard["pid"], heard["threads"], heard["queues"]) == (7, 4, ["video_queue"])
    assert 90 <= silent["silent_for"] < 150
    assert "heard: alive, heard 0:00:0" in printed
    assert "silent: SILENT, heard 0:01:3" in printed
    assert "4 threads on video_queue" in printed
    assert "none is alive" not in printed


@pytest.mark.django_db(databases=["default", "other"])
def test_each_outbox_is_asked(settings):
    """What was written beside another database waits there."""
    settings.TASKROUTING = {"OUTBOX_DATABASES": ["default", "other"]}
    publish("a.b", using="other")

    found = {each["database"]: each["waiting"]["number"] for each in status()["outboxes"]}

    assert found == {"default": 0, "other": 1}


def hide_messages(using: str) -> None:
    """Take the table of messages away, until the test's transaction is rolled back."""
    with connections[using].cursor() as cursor:
        cursor.execute("ALTER TABLE taskrouting_message RENAME TO hidden")


@pytest.mark.django_db(databases=["default", "other"])
def test_an_outbox_that_cannot_be_read_is_said(settings):
    """One database that is away, or not migrated, does not hide how the others are."""
    settings.TASKROUTING = {"OUTBOX_DATABASES": ["default", "other"]}
    hide_messages("other")

    printed = run("router_status")

    assert "Outbox       default: 0 waiting" in printed
    assert "Outbox       other: NOT readable: " in printed
    assert "taskrouting_message" in printed


def test_a_wrong_setting_is_named(settings):
    """An unknown scheme is refused with its fix, whatever checks were skipped."""
    settings.TASKROUTING = {"BROKER_URL": "ampq://h"}

    assert "Did you mean amqp://?" in refused("router_status")


def test_what_happened_is_told():
    """The same figures as on the dashboard, for each subscription too."""

    @subscribe("video.#", queue="video_queue", name="good")
    def handle(event): ...

    @subscribe("video.#", queue="video_queue", name="bad")
    def refuse(event):
        raise Reject("never")

    tally = Tally()
    with tally.listening():
        publish("video.upload")
        run_subscribers()
    figures.write(tally)

    printed = run("router_status", "--range", "24h")

    assert "over 24h, 1 failed (50.0%)" in printed
    assert "Subscription good on video_queue: 1 handled, half within " in printed
    assert "Subscription bad on video_queue: 0 handled, 1 failed (100.0%), half within –" in printed
    told = {each["subscription"]: each for each in status()["subscriptions"]}
    assert (told["good"]["handled"], told["bad"]["failure_rate"]) == (1, 1.0)


class Interrupted(StringIO):
    """A terminal at which somebody presses Ctrl-C after so many looks."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._looks = looks

    def flush(self) -> None:
        """Count one look."""
        self._looks -= 1
        if not self._looks:
            raise KeyboardInterrupt


def watched(*arguments: str) -> str:
    """What ``router_status --watch`` prints in two looks."""
    printed = Interrupted(2)
    call_command("router_status", "--watch", "0.01", *arguments, stdout=printed)
    return printed.getvalue()


def test_watching_looks_again_until_interrupted():
    """For people one below the other where there is no terminal; for programs a line each."""
    assert watched().count("Broker       django: reachable") == 2

    lines = watched("--json").strip().splitlines()
    assert [json.loads(line)["broker"]["reachable"] for line in lines] == [True, True]


def test_watching_outlasts_the_database():
    """That it cannot be asked now is said, and is no reason to stop looking."""
    hide_messages("default")

    assert watched().count("The database could not be asked: ") == 2
    assert "error" in json.loads(watched("--json").splitlines()[0])


def test_watching_needs_a_pause():
    """A look takes the broker some work."""
    assert "is no number of seconds above 0" in refused("router_status", "--watch", "0")
