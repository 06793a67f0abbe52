"""What do spans say of one process's work? And what does it cost where nobody traces?"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from taskrouting import Batch, Discard, Event, Reject, around, context, publish, subscribe
from taskrouting.contrib.testing import run_subscribers
from taskrouting.instruments import tracing

pytestmark = pytest.mark.django_db

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def finished(monkeypatch):
    """Trace for the test; the exporter has the spans that are finished."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("tests"))
    tracing.install()
    yield exporter.get_finished_spans
    tracing.uninstall()


def named(finished, name):
    """The one span of this name."""
    (found,) = [span for span in finished() if span.name == name]
    return found


def test_a_handler_runs_within_its_span(finished, subscriptions):
    """What it calls belongs to it, and an error is said without what is sensitive."""
    seen = []

    @subscribe("a.b", queue="q", name="failing")
    def failing(event):
        seen.append(trace.get_current_span().get_span_context().span_id)
        raise ValueError(f"wrong: {event.data['password']}")

    event = publish("a.b", {"password": "hunter2"})
    run_subscribers()

    process = named(finished, "process q")
    create = named(finished, "create events")
    assert seen == [process.context.span_id]
    assert process.parent.span_id == create.context.span_id
    assert event.traceparent.split("-")[2] == f"{create.context.span_id:016x}"
    assert process.status.is_ok is False
    assert process.attributes["error.type"] == "ValueError"
    assert "hunter2" not in process.status.description
    assert not process.events


@pytest.mark.parametrize(("verdict", "failed"), [(Discard, False), (Reject, True)])
def test_a_verdict_is_an_error_only_where_something_is_wrong(
    finished, subscriptions, verdict, failed
):
    """There was nothing to do: that is no error."""

    @subscribe("a.b", queue="q", name="deciding")
    def deciding(event):
        raise verdict("so")

    publish("a.b")
    run_subscribers()

    assert ("error.type" in named(finished, "process q").attributes) is failed


def test_a_batch_is_linked_to_every_event(finished, subscriptions):
    """It has many causes, and so no parent."""

    @subscribe("a.b", queue="q", name="many", batch=Batch(size=10))
    def many(events):
        pass

    for _ in range(3):
        publish("a.b")
    run_subscribers()

    created = {s.context.span_id for s in finished() if s.name == "create events"}
    process = named(finished, "process q")
    assert process.parent is None
    assert process.attributes["messaging.batch.message_count"] == 3
    assert {link.context.span_id for link in process.links} == created


def test_a_trace_that_came_from_elsewhere_goes_on(finished):
    """Without a span of this process, the context's traceparent is the parent."""
    with context.acting(traceparent=PARENT):
        event = publish("a.b")

    create = named(finished, "create events")
    assert f"{create.parent.span_id:016x}" == PARENT.split("-")[2]
    assert event.traceparent.split("-")[1] == PARENT.split("-")[1]


def test_an_event_keeps_its_trace_where_nothing_is_recorded():
    """The API alone makes no spans, and must not wipe out what the event came with."""
    now = datetime.now(UTC)
    event = Event(id="1", type="a.b", source="s", time=now, traceparent=PARENT)

    assert tracing.created(event).traceparent == PARENT


def test_what_is_put_around_a_step_fails_nothing(finished, subscriptions, monkeypatch, caplog):
    """A broken tracer is logged, and events are published and handled."""
    handled = []
    subscribe("a.b", queue="q", name="fine")(handled.append)
    monkeypatch.setattr(tracing, "_about", None)

    publish("a.b")
    run_subscribers()

    assert len(handled) == 1
    assert "it goes on without" in caplog.text
    assert "written without it" in caplog.text


def test_who_does_not_trace_imports_nothing():
    """No cost and no package, where the setting is off."""
    code = (
        "import django, sys; django.setup();"
        "print([name for name in sys.modules if 'opentelemetry' in name or 'prometheus' in name])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "[]"
    assert around.handling == around.sending == around.stamps == []
