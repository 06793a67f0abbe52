"""Does the dashboard say how the installation is, and why it has nothing to say?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from taskrouting import Reject, dashboard, operators, publish, subscribe
from taskrouting.admin import drawing
from taskrouting.contrib.testing import run_subscribers
from taskrouting.dashboard import RANGES, Filter
from taskrouting.exceptions import BrokerBlocked, BrokerUnavailable
from taskrouting.instruments import figures, scale
from taskrouting.instruments.tally import Tally
from taskrouting.models import AuditLog, Dashboard, Figure, Message, Pulse, WorkerProcess
from taskrouting.transport.messages import OUTBOX
from tests.integration.admin_site import Forbidden, entry, page, staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]

AMQP = {"BROKER_URL": "amqp://guest:secret@127.0.0.1:1//"}
AGO = timedelta(minutes=5)


def worker(*queues: str, ago: timedelta = timedelta(0)) -> WorkerProcess:
    """A worker that was heard so long ago."""
    row = WorkerProcess.objects.create(name=f"h:{queues}:{ago}", host="h", pid=7, version="1",
                                       queues=list(queues), threads=4)  # fmt: skip
    WorkerProcess.objects.filter(pk=row.pk).update(seen_at=datetime.now(UTC) - ago)
    return row


def figure(measure: str, count: int, *, minutes_ago: int = 1, queue: str = "video_queue",
           subscription: str = "video", step: int = 0) -> None:  # fmt: skip
    """What was counted in one minute, and in its quarter of an hour."""
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    for span in figures.KEPT:
        since = datetime.fromtimestamp(at.timestamp() // span * span, tz=UTC)
        row, _ = Figure.objects.get_or_create(
            span=span, since=since, queue=queue, subscription=subscription, measure=measure,
            step=step,
        )  # fmt: skip
        row.count += count
        row.save()


def parts() -> dict[str, tuple[str, str]]:
    """The state of every part, and the reason."""
    return {each.name: (each.state.value, each.reason) for each in dashboard.look().parts}


def heard(where: str = "relay of 'default'", error: Exception | None = None) -> None:
    """Let a relay be heard, or what is in its way."""
    tally = Tally()
    if error is None:
        tally.passed(using="default")
    else:
        tally.noticed(where=where, error=error, away=timedelta(seconds=9))
    figures.write(tally)


def test_a_new_installation_says_what_to_do():
    """Nothing is wrong with the database; workers are missing, and a relay is not."""
    seen = dashboard.look()

    assert {each.name: each.state.value for each in seen.parts} == {
        "broker": "ok", "relay": "off", "workers": "away", "audit": "away",
    }  # fmt: skip
    assert [each.why_empty for each in seen.charts][:2] == [
        "No worker has been seen yet. Start one with run_router_worker."
    ] * 2
    assert "none has been seen yet" in seen.charts[2].why_empty


def test_the_broker_is_as_the_relay_finds_it(settings):
    """Reached, full, away, or nobody can tell; the page itself asks no broker."""
    settings.TASKROUTING = AMQP
    assert parts()["broker"] == ("late", "amqp: nobody has told, for no relay is heard.")
    assert parts()["relay"][0] == "away"

    heard()
    assert parts()["broker"] == ("ok", "amqp: the relay reaches it.")
    assert parts()["relay"] == ("ok", "Empties the outbox.")

    heard(error=BrokerUnavailable("connection refused"))
    assert parts()["broker"] == ("away", "For 9 s: connection refused")
    assert parts()["relay"] == ("away", "does not reach the broker")

    heard(error=BrokerBlocked("short of memory"))
    assert parts()["broker"] == ("late", "For 9 s: short of memory")


def test_a_relay_that_falls_silent_is_late_and_then_away(settings):
    """A process that is killed says nothing of it."""
    settings.TASKROUTING = AMQP
    heard()
    for ago, state in ((5, "ok"), (40, "late"), (90, "away")):
        Pulse.objects.update(seen_at=datetime.now(UTC) - timedelta(seconds=ago))
        assert parts()["relay"][0] == state, ago


def test_an_outbox_that_does_not_empty_makes_the_relay_late(settings):
    """It is at work, but what is due does not leave."""
    settings.TASKROUTING = AMQP
    heard()
    publish("video.upload")
    Message.objects.update(created_at=datetime.now(UTC) - AGO)

    assert parts()["relay"] == ("late", "The outbox of default does not empty.")
    assert dashboard.look().figures.oldest >= AGO


def test_workers_are_late_when_one_is_missing():
    """Somebody has to consume every queue, to be heard, and to reach the broker."""
    subscribe("video.#", queue="video_queue", name="video")(print)
    worker("video_queue")
    assert parts()["workers"] == ("late", "No worker consumes audit_queue.")
    assert parts()["audit"] == ("away", "No worker consumes audit_queue.")

    worker("audit_queue")
    assert parts()["workers"] == ("ok", "2 processes with 8 threads.")
    assert parts()["audit"][0] == "ok"

    worker("video_queue", "audit_queue", ago=AGO)
    assert parts()["workers"] == ("late", "1 process is silent.")

    WorkerProcess.objects.filter(seen_at__lt=datetime.now(UTC) - AGO / 2).update(
        seen_at=datetime.now(UTC) - timedelta(minutes=11)
    )
    assert parts()["workers"][0] == "ok"  # others have long taken its place

    heard("worker h:1", BrokerUnavailable("refused"))
    assert parts()["workers"] == ("late", "worker h:1: does not reach the broker")


def test_a_queue_that_an_operator_lets_rest_is_told():
    """Who consumes nothing on purpose is late, and the page says why."""
    worker("audit_queue", "video_queue")
    operators.pause("audit_queue", "the disk is full", actor="ana")

    assert parts()["workers"] == ("late", "An operator lets audit_queue rest.")
    assert parts()["audit"] == ("late", "An operator lets audit_queue rest.")

    operators.resume("audit_queue", actor="ana")
    assert parts()["workers"][0] == parts()["audit"][0] == "ok"


def test_the_audit_writer_is_late_when_its_newest_entry_was(settings):
    """How late is the lag; without an audit log there is nothing to be late with."""
    worker("audit_queue")
    entry(occurred_at=datetime.now(UTC) - AGO)
    assert dashboard.look().figures.audit_lag > AGO - timedelta(seconds=9)
    assert parts()["audit"][0] == "late"

    AuditLog.objects.update(recorded_at=datetime.now(UTC) - AGO)  # and nothing since
    assert parts()["audit"][0] == "ok"

    settings.TASKROUTING = {"AUDIT": {"queue": None}}
    assert parts()["audit"] == ("off", "Switched off: AUDIT['queue'] is None.")


def test_what_really_happened_is_seen():
    """From the signals through the table to the figures, and the audit log apart."""

    @subscribe("video.#", queue="video_queue", name="good")
    def handle(event): ...

    @subscribe("video.#", queue="video_queue", name="bad")
    def refuse(event):
        raise Reject("never")

    tally = Tally()
    with tally.listening():
        for _ in range(3):
            publish("video.upload")
        run_subscribers()
    figures.write(tally)
    seen = dashboard.look(RANGES["24h"])

    assert (seen.figures.failed, seen.figures.failure_rate) == (3, 0.5)
    assert seen.figures.dead_letters.number == 3
    by_name = {each.subscription: each.totals for each in seen.lines}
    assert (by_name["good"].handled, by_name["bad"].failed) == (3, 3)
    assert by_name["taskrouting.audit"].handled == 3


def test_a_chart_has_a_point_for_every_minute():
    """Nothing counted is no throughput; but an unknown latency or backlog is none at all."""
    subscribe("video.#", queue="video_queue", name="video")(print)
    figure("handled", 120, minutes_ago=3)
    figure("latency", 120, minutes_ago=3, step=scale.step_of(2.0))
    figure("backlog", 80, minutes_ago=3, subscription="")
    figure("looks", 4, minutes_ago=3, subscription="")
    figure("handled", 600, minutes_ago=3, queue="audit_queue", subscription="taskrouting.audit")

    seen = dashboard.look()
    drawn = {s.name: [v for v in s.values if v] for chart in seen.charts for s in chart.series}

    assert all(len(s.values) == 15 for chart in seen.charts for s in chart.series)
    assert drawn["handled"] == [2.0]
    assert drawn["published"] == [10.0]
    assert drawn["p50"] == [pytest.approx(2.0, rel=0.2)]
    assert drawn["waiting"] == [20.0]
    assert [len(dashboard.look(each).pieces) for each in RANGES.values()] == [15, 60, 96]


def test_one_subscription_or_queue_is_looked_at_alone():
    """With the backlog of its queue; what the code does not know is said to be unknown."""
    subscribe("video.#", queue="video_queue", name="video")(print)
    figure("handled", 60)
    figure("handled", 600, queue="mail_queue", subscription="mail")
    for measure in ("backlog", "looks"):
        figure(measure, 7, subscription="")
        figure(measure, 9, queue="mail_queue", subscription="")

    def handled(only: Filter) -> int:
        return sum(each.deliveries.handled for each in dashboard.look(only=only).pieces)

    assert handled(Filter()) == 660
    assert handled(Filter(queue="mail_queue")) == 600
    assert handled(Filter(subscription="video")) == 60
    seen = dashboard.look(only=Filter(subscription="video"))
    assert [each.waiting for each in seen.pieces if each.waiting is not None] == [1.0]
    assert [each.name for each in seen.charts[0].series] == ["handled", "failed"]
    unknown = dashboard.look(only=Filter(queue="vidio_queue"))
    assert unknown.charts[0].why_empty == "The code declares no queue vidio_queue."
    unknown = dashboard.look(only=Filter(subscription="vidio"))
    assert unknown.charts[2].why_empty == "The code has no subscription vidio."


def test_an_empty_chart_says_since_when():
    """Of workers that fell silent, and of those that have said goodbye."""
    figure("handled", 1, minutes_ago=40)
    assert "No worker has been seen since 20" in dashboard.look().charts[0].why_empty

    worker("audit_queue", ago=AGO)
    assert "No worker has been seen since 20" in dashboard.look().charts[0].why_empty

    worker("audit_queue")
    assert "nothing came for them" in dashboard.look().charts[0].why_empty
    assert dashboard.look(RANGES["1h"]).charts[0].why_empty == ""


@pytest.mark.parametrize(
    ("backlog", "top"), [(1, "1"), (4, "1"), (7, "2"), (9, "5"), (41, "20"), (84, "25")]
)
def test_the_edge_of_the_backlog_is_a_whole_number(backlog, top):
    """What is drawn is an average of several looks, but nobody has two and a half messages."""
    figure("backlog", backlog, subscription="")
    figure("looks", 4, subscription="")

    drawn = {each.name: each for each in drawing.drawings(dashboard.look())}

    assert drawn["backlog"].top == top


@pytest.fixture
def site(client):
    """The admin, for somebody who may view deliveries and nothing else."""
    client.force_login(staff("vera", "view_delivery"))
    return client


def test_the_page_shows_it_all_without_scripts(site):
    """Strip, figures, charts with their tables; and nothing that a strict policy forbids."""
    subscribe("video.#", queue="video_queue", name="video")(print)
    figure("handled", 60)
    figure("latency", 60, step=scale.step_of(2.0))
    html = site.get(page(Dashboard), {"range": "1h", "subscription": "video"}).content.decode()

    assert Forbidden(html).found == []
    for text in ("Audit writer", "No worker consumes audit_queue.", "Open dead letters",
                 "Only subscription <strong>video</strong>",
                 '<title id="taskrouting-throughput-title', "<desc", "handled: 0/s to 1/s",
                 '<th scope="col">95 % within</th>',
                 "range=24h&amp;subscription=video", "taskrouting/dashboard.js"):  # fmt: skip
        assert text in html, text
    # Who may not see the lists is shown no way to them.
    assert reverse("admin:taskrouting_deadletter_changelist") not in html


def test_the_live_part_is_the_page_without_its_frame(site):
    """The script puts it in place of the old one; it is for those who may see the page."""
    address = reverse("admin:taskrouting_dashboard_live")
    response = site.get(address, {"range": "24h"})

    assert "no-store" in response["Cache-Control"]
    html = response.content.decode()
    assert "Audit writer" in html and "<html" not in html
    assert Forbidden(html).found == []
    site.force_login(staff("sam"))
    assert site.get(address).status_code == 403


def test_the_page_asks_little(site, settings):
    """However many queues and subscriptions there are, and nobody but the database."""
    settings.TASKROUTING = AMQP
    for number in range(30):
        subscribe("video.#", queue=f"queue_{number}", name=f"video_{number}")(print)
        figure("handled", 1, queue=f"queue_{number}", subscription=f"video_{number}")
    site.get(page(Dashboard))

    with CaptureQueriesContext(connection) as asked:
        assert site.get(page(Dashboard)).status_code == 200
    assert len(asked) <= 15, [each["sql"] for each in asked]


def test_on_a_broker_what_the_relay_sent_is_published(settings):
    """With or without an audit log."""
    settings.TASKROUTING = {**AMQP, "AUDIT": {"queue": None}}
    figure("relayed", 120, queue=OUTBOX, subscription="")

    published = dashboard.look().charts[0].series[0]
    assert (published.name, max(published.values)) == ("published", 2.0)
