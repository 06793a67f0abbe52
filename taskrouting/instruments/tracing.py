"""How does one trace lead through the broker? Spans for create, send and process, linked by events.

=========  =========  ==========================================================================
span       kind       of
=========  =========  ==========================================================================
create     PRODUCER   ``publish()``; its context travels in the event, as ``traceparent``
publish    CLIENT     a batch that the relay sends; linked to the create span of each event
process    CONSUMER   a handler's run; the child of its event's create span, and linked to it. A
                      batch's is a span of its own, linked to each. What the handler does is
                      within it.
=========  =========  ==========================================================================

Spans go to the tracer provider that the project has set, before or after us. The names of the
attributes follow OpenTelemetry's conventions for messaging, which are still in development, so
they are all said here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from taskrouting import __version__, around, conf, masking
from taskrouting.events import Event
from taskrouting.exceptions import Discard, Snooze
from taskrouting.routing.subscriptions import Subscription
from taskrouting.transport import broker
from taskrouting.transport.messages import Message

SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
ROUTING_KEY = "messaging.rabbitmq.destination.routing_key"
MESSAGE_ID = "messaging.message.id"
CONVERSATION_ID = "messaging.message.conversation_id"
BATCH_COUNT = "messaging.batch.message_count"
CONSUMER_GROUP = "messaging.consumer.group.name"
ERROR_TYPE = "error.type"

#: What the conventions call a broker, where that is not our name of it.
SYSTEMS = {"amqp": "rabbitmq", "django": "taskrouting", "sqs": "aws_sqs"}

#: More than this no span is linked to, which is OpenTelemetry's own limit.
MOST_LINKS = 128

#: Milliseconds for what is still to be exported when a process ends.
LAST_EXPORT = 2_000

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("taskrouting", __version__)


def install() -> None:
    """Make spans from now on; it does no harm to say so twice."""
    if created not in around.stamps:
        around.stamps.append(created)
        around.sending.append(sending)
        around.handling.append(processing)


def uninstall() -> None:
    """Make no more spans."""
    if created in around.stamps:
        around.stamps.remove(created)
        around.sending.remove(sending)
        around.handling.remove(processing)


def flush() -> None:
    """Export what is finished, before the process ends."""
    flushing = getattr(trace.get_tracer_provider(), "force_flush", None)
    if flushing is not None:
        flushing(LAST_EXPORT)


def created(event: Event) -> Event:
    """Make the create span of an event, and put its context into it."""
    within = (
        None
        if trace.get_current_span().get_span_context().is_valid
        else _context_of(event.traceparent)
    )
    span = _tracer.start_span(
        f"create {conf.current().exchange}",
        within,
        SpanKind.PRODUCER,
        {**_about("create", "create"), **_of_event(event)},
    )
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, trace.set_span_in_context(span))
    span.end()
    return replace(event, traceparent=carrier.get("traceparent", event.traceparent))


@contextmanager
def sending(messages: Sequence[Message]) -> Iterator[None]:
    """Make the span of a batch on its way to the broker."""
    links = _links(_traceparent_in(each) for each in messages[:MOST_LINKS])
    attributes = {**_about("publish", "send"), BATCH_COUNT: len(messages)}
    if len(messages) == 1:
        attributes |= {MESSAGE_ID: messages[0].event_id, ROUTING_KEY: messages[0].routing_key}
    with _span(f"publish {conf.current().exchange}", SpanKind.CLIENT, attributes, links) as span:
        try:
            yield
        except Exception as error:
            _failed(span, error, str(error))
            raise


@contextmanager
def processing(subscription: Subscription, handled: Sequence[Event]) -> Iterator[None]:
    """Make the span of a handler's run, in which its own spans are."""
    links = _links(event.traceparent for event in handled[:MOST_LINKS])
    attributes = {
        **_about("process", "process", subscription.queue),
        CONSUMER_GROUP: subscription.name,
    }
    if subscription.batch:
        within, more = None, {BATCH_COUNT: len(handled)}
    else:
        within, more = _context_of(handled[0].traceparent), _of_event(handled[0])
    name = f"process {subscription.queue}"
    with _span(name, SpanKind.CONSUMER, {**attributes, **more}, links, within) as span:
        try:
            yield
        except (Discard, Snooze):
            raise  # decisions, and no errors
        except BaseException as error:
            _failed(span, error, masking.without_values(str(error), [e.data for e in handled]))
            raise


@contextmanager
def _span(
    name: str,
    kind: SpanKind,
    attributes: dict[str, Any],
    links: Sequence[Link],
    within: Context | None = None,
) -> Iterator[Span]:
    """Have a span in force for a block, and say ourselves what has failed in it."""
    with _tracer.start_as_current_span(
        name,
        within,
        kind,
        attributes,
        links,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span


def _about(name: str, kind: str, destination: str = "") -> dict[str, Any]:
    settings = conf.current()
    known = broker.capabilities(settings.broker_url).name
    return {
        SYSTEM: SYSTEMS.get(known, known),
        OPERATION_NAME: name,
        OPERATION_TYPE: kind,
        DESTINATION: destination or settings.exchange,
    }


def _of_event(event: Event) -> dict[str, Any]:
    about = {MESSAGE_ID: event.id, ROUTING_KEY: event.type}
    return {**about, CONVERSATION_ID: event.correlation_id or event.id}


def _context_of(traceparent: str | None) -> Context | None:
    """The context of a create span, if there was one."""
    if traceparent is None:
        return None
    return _propagator.extract({"traceparent": traceparent}, Context())


def _links(traceparents: Iterable[str | None]) -> list[Link]:
    found = (_context_of(each) or Context() for each in traceparents)
    contexts = [trace.get_current_span(each).get_span_context() for each in found]
    return [Link(context) for context in contexts if context.is_valid]


def _traceparent_in(message: Message) -> str | None:
    """Read it out of an event that is about to leave; a stranger's message may not be one."""
    try:
        found = json.loads(message.body).get("traceparent")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _failed(span: Span, error: BaseException, text: str) -> None:
    span.set_attribute(ERROR_TYPE, type(error).__qualname__)
    span.set_status(StatusCode.ERROR, text)
