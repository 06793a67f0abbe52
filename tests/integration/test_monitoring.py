"""What does the web server tell machines? Whether it can publish, and how the installation is."""

from __future__ import annotations

import re
import sys
from datetime import timedelta

import pytest
from django.db import OperationalError, connections
from django.urls import include, path
from django.utils import timezone

from taskrouting import publish
from taskrouting.exceptions import ConfigurationError
from taskrouting.models import DeadLetter, Message, WorkerProcess
from taskrouting.monitoring import exposition, figures, judgement
from taskrouting.transport.messages import OUTBOX

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [path("taskrouting/", include("taskrouting.urls"))]

NOWHERE = "amqp://127.0.0.1:1//"


@pytest.fixture(autouse=True)
def look_anew():
    """What another test has seen is not what this one sees."""
    figures.forget()
    figures._samples = []
    yield
    figures.forget()


def ask(client, name):
    """The status and the JSON of an answer."""
    answer = client.get(f"/taskrouting/health/{name}")
    return answer.status_code, answer.json()


def worker():
    """Let a worker be alive."""
    WorkerProcess.objects.create(name="w", host="h", pid=1, version="1", threads=1)


def test_a_web_server_is_ready_without_broker_and_workers(client, settings):
    """It publishes without them; only what wakes people asks for them."""
    settings.TASKROUTING = {"BROKER_URL": NOWHERE}

    assert ask(client, "live") == (200, {"live": True, "reasons": []})
    assert ask(client, "ready") == (200, {"ready": True, "reasons": []})
    ills = ["the broker (amqp) cannot be reached", "no worker is alive"]
    assert ask(client, "well") == (503, {"well": False, "reasons": ills})


def test_a_database_that_is_away_costs_readiness_only(client, settings, monkeypatch, caplog):
    """The answer says which one; what the driver says goes to the log only."""
    settings.TASKROUTING = {"OUTBOX_DATABASES": ["default", "other"]}

    def away():
        raise OperationalError("no route to db.internal")

    monkeypatch.setattr(connections["other"], "cursor", away)

    assert ask(client, "live")[0] == 200
    status, told = ask(client, "ready")
    assert (status, told["reasons"]) == (503, ["database 'other' does not answer"])
    assert "db.internal" in caplog.text


def test_the_database_is_asked_by_us_alone(client, monkeypatch, settings):
    """With ATOMIC_REQUESTS the answer would be an error page, and life depend on the database."""
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)

    def away(*args, **kwargs):
        raise OperationalError("gone")

    monkeypatch.setattr("django.db.transaction.Atomic.__enter__", away)

    assert ask(client, "live")[0] == 200
    assert ask(client, "ready")[0] == 200


def test_an_installation_is_well_if_events_are_handled(client):
    """Until one has waited for too long."""
    worker()
    assert ask(client, "well") == (200, {"well": True, "reasons": []})

    old = timezone.now() - timedelta(minutes=6)
    Message.objects.create(
        queue=OUTBOX, body=b"", routing_key="a", available_at=old, created_at=old
    )
    figures.forget()
    status, told = ask(client, "well")
    assert status == 503
    assert told["reasons"][0].startswith("an event in database 'default' has waited for 36")


def test_metrics_are_figures_and_nothing_of_any_event(client):
    """Prometheus needs no login, so what it reads must be fit for everybody."""
    worker()
    DeadLetter.objects.create(reason="rejected", queue="q", body=b"", routing_key="secret.key")
    event = publish("secret.key", {"password": "hunter2"}, subject="user/7")

    answer = client.get("/taskrouting/metrics")

    text = answer.content.decode()
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert 'taskrouting_dead_letters{reason="rejected"} 1.0' in text
    assert "taskrouting_workers_up 1.0" in text
    assert 'taskrouting_queue_messages{place="database",queue="audit_queue"} 1.0' in text
    for secret in ("secret.key", "hunter2", "user/7", event.id):
        assert secret not in text


def test_a_web_server_tells_nothing_that_only_workers_count(client):
    """A counter that is 0 for ever, beside the true one of a worker, is a false figure."""
    publish("video.upload")

    text = client.get("/taskrouting/metrics").content.decode()

    told = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert told.keys() <= figures.GAUGES.keys()
    assert set(told.values()) == {"gauge"}


def test_prometheus_gets_the_format_that_it_asks_for(client):
    """OpenMetrics, with its own end."""
    accept = "application/openmetrics-text; version=1.0.0"
    answer = client.get("/taskrouting/metrics", headers={"accept": accept})

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")


def test_scrapes_do_not_load_the_database(client, django_assert_num_queries):
    """Within ten seconds everybody gets what was seen first."""
    client.get("/taskrouting/metrics")

    with django_assert_num_queries(0):
        client.get("/taskrouting/metrics")
        ask(client, "well")


def test_the_database_itself_may_be_away(client, monkeypatch):
    """Then that is the figure."""

    def away():
        raise OperationalError("gone")

    monkeypatch.setattr(figures.health, "look", away)

    assert b"taskrouting_database_up 0.0" in client.get("/taskrouting/metrics").content
    assert ask(client, "well") == (
        503,
        {"well": False, "reasons": ["database 'default' does not answer"]},
    )


def test_metrics_without_their_package_are_one_sentence(monkeypatch):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'django-taskrouting\[metrics\]'"):
        exposition.require_client()


@pytest.mark.parametrize("name", ["health/live", "health/ready", "health/well", "metrics"])
def test_nothing_is_changed_by_asking(client, name):
    """Nor kept by a cache in between."""
    assert client.post(f"/taskrouting/{name}").status_code == 405
    assert "no-store" in client.get(f"/taskrouting/{name}").headers["Cache-Control"]


def test_a_verdict_says_its_reasons():
    """The same words, whoever answers."""
    assert judgement.Verdict("ready", ["so"]).as_json() == {"ready": False, "reasons": ["so"]}
