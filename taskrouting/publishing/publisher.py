"""How does an event enter the outbox? ``publish()`` writes rows, and never touches a broker.

The rows are written on the database of the business write, in the transaction open there:
rolled back, there is no event; committed, the event will arrive, however long the broker is away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from django.db import router, transaction

from taskrouting import around, conf, context, events, signals, topics
from taskrouting.dead_letters import records
from taskrouting.dead_letters.models import DeadLetter
from taskrouting.durations import Duration, as_duration
from taskrouting.events import Event
from taskrouting.exceptions import ConfigurationError, InvalidEventData
from taskrouting.transport import broker, messages, routes, signing, store
from taskrouting.transport.messages import Message
from taskrouting.transport.models import Message as MessageRow

HIGHEST_PRIORITY = 9

#: The extensions that say in which web request an event was published, and under which id.
REQUEST, REQUEST_ID = "request", "requestid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What ``publish()`` was asked for: an item of ``publish_many``."""

    routing_key: str
    data: Any = None
    subject: str | None = None
    event_id: str | None = None
    correlation_id: str | None = None
    available_at: datetime | None = None
    delay: Duration | None = None
    priority: int = 0
    extensions: Mapping[str, Any] = field(default_factory=dict)


def publish(
    routing_key: str,
    data: Any = None,
    *,
    subject: str | None = None,
    event_id: str | None = None,
    correlation_id: str | None = None,
    available_at: datetime | None = None,
    delay: Duration | None = None,
    priority: int = 0,
    using: str | None = None,
    extensions: Mapping[str, Any] | None = None,
) -> Event:
    """Publish an event in the transaction that is open on ``using``; return it with its id.

    ``data`` is anything JSON can say, or ``bytes``. ``available_at`` or ``delay`` (seconds or a
    timedelta) hold it back; ``priority`` is 0 to 9, higher goes first. ``using`` defaults to the
    database the router writes messages to.

    Raises InvalidRoutingKey, InvalidEventData (naming the value and where it is) or
    ConfigurationError (an alias that is no outbox) before anything is written.
    """
    draft = Draft(
        routing_key=routing_key,
        data=data,
        subject=subject,
        event_id=event_id,
        correlation_id=correlation_id,
        available_at=available_at,
        delay=delay,
        priority=priority,
        extensions=extensions or {},
    )
    return publish_many([draft], using=using)[0]


def publish_many(
    drafts: Iterable[Draft | Event | tuple[str, Any] | Mapping[str, Any]],
    *,
    using: str | None = None,
) -> list[Event]:
    """Publish several events with one INSERT; return them in their order.

    Each is a ``(routing_key, data)`` pair, a mapping of ``publish()``'s arguments, or an Event.
    Raises what ``publish()`` raises, before any of them is written.
    """
    alias = _outbox(using)
    published: list[Event] = []
    written: list[Message] = []
    for item in drafts:
        draft = _draft(item)
        event = item if isinstance(item, Event) else around.stamped(_event(draft))
        published.append(event)
        written.append(_message(event, draft))
    # Outside a transaction, several events are still all published or none.
    with nullcontext() if len(written) == 1 else transaction.atomic(using=alias, savepoint=False):
        waiting = [copy for message in written for copy in _routed(message, alias)]
        store.put(waiting, using=alias)
    for event in published:
        signals.emit(signals.event_published, Event, event=event, using=alias)
    return published


def _draft(item: Draft | Event | tuple[str, Any] | Mapping[str, Any]) -> Draft:
    """Read one item of ``publish_many``."""
    if isinstance(item, Draft):
        return item
    if isinstance(item, Event):
        return Draft(routing_key=item.type)
    if isinstance(item, Mapping):
        return Draft(**item)
    routing_key, data = item
    return Draft(routing_key=routing_key, data=data)


def _event(draft: Draft) -> Event:
    """Make the event: what was asked for, and what the context knows."""
    here = context.current()
    identity = draft.event_id or events.new_id()
    return Event(
        id=identity,
        type=topics.validate_routing_key(draft.routing_key),
        source=conf.current().source,
        time=datetime.now(UTC),
        subject=draft.subject,
        data=draft.data,
        correlation_id=draft.correlation_id or here.correlation_id or identity,
        causation_id=here.causation_id,
        actor=here.actor,
        traceparent=here.traceparent,
        extensions={**_of_request(here), **draft.extensions},
    )


def _of_request(here: context.Context) -> dict[str, str]:
    """Say which web request publishes, if one does, in extensions of the event."""
    said = {REQUEST: here.request, REQUEST_ID: here.request_id}
    return {name: text for name, text in said.items() if text}


def _message(event: Event, draft: Draft) -> Message:
    """Write the event as it will be on the wire, still without an address."""
    topics.validate_routing_key(event.type)
    settings = conf.current()
    message = messages.of_event(
        event,
        exchange=settings.exchange,
        priority=_priority(draft.priority),
        delay=_delay(draft),
    )
    # What the context hands on may be as long as whoever began it has made it.
    if fault := messages.property_fault(
        event_id=event.id, source=event.source, correlation_id=draft.correlation_id
    ):
        raise InvalidEventData(f"{fault}.")
    if len(message.body) > settings.max_message_bytes:
        raise InvalidEventData(
            f"The event {event.type!r} is {len(message.body)} bytes on the wire; MAX_MESSAGE_BYTES "
            f"allows {settings.max_message_bytes}. Publish a reference to the data instead."
        )
    return signing.signed(message)


def _routed(message: Message, alias: str) -> list[Message]:
    """Address the message: to the outbox, or straight to the queues of the embedded broker."""
    settings = conf.current()
    if not (broker.capabilities(settings.broker_url).embedded and alias == settings.database):
        return [message]
    return spread(message, _embedded_routes(alias))


def spread(message: Message, known: routes.Routes) -> list[Message]:
    """Make one copy of an outbox message per queue that wants it; none wants it: a dead letter."""
    queues = known.queues(message.routing_key)
    if not queues:
        keep_unroutable(message)
    return [replace(message, queue=queue) for queue in queues]


def keep_unroutable(message: Message) -> None:
    """Keep an event that no queue wants as a dead letter, unless the settings say not to."""
    if conf.current().unrouted == "record":
        records.keep_message(
            message,
            DeadLetter.Reason.UNROUTABLE,
            f"No queue bound to {message.exchange!r} wants {message.routing_key!r}. Add a "
            "subscription, or set TASKROUTING['UNROUTED'] = 'ignore'.",
        )


@cache
def _embedded_routes(alias: str) -> routes.Routes:
    return routes.of_database(alias)


def _outbox(using: str | None) -> str:
    """Choose the database whose transaction the rows join."""
    alias = using or router.db_for_write(MessageRow)
    settings = conf.current()
    if alias not in (*settings.outbox_databases, settings.database):
        raise ConfigurationError(
            f"Cannot publish on database {alias!r}: no relay empties an outbox there. Add it to "
            f"TASKROUTING['OUTBOX_DATABASES'] (now {list(settings.outbox_databases)}) and migrate "
            "it, or pass using= with one that is."
        )
    return alias


def _priority(priority: object) -> int:
    if isinstance(priority, int) and 0 <= priority <= HIGHEST_PRIORITY:
        return int(priority)
    raise InvalidEventData(f"priority is {priority!r}; it must be a whole number from 0 to 9.")


def _delay(draft: Draft) -> timedelta:
    """How long from now: the database adds it to its own clock."""
    if draft.delay is not None and draft.available_at is not None:
        raise InvalidEventData("Give delay or available_at, not both.")
    if draft.delay is not None:
        return as_duration(draft.delay, "delay")
    if draft.available_at is None:
        return timedelta(0)
    if draft.available_at.tzinfo is None:
        raise InvalidEventData(f"available_at is {draft.available_at!r}; make it timezone-aware.")
    return max(draft.available_at - datetime.now(UTC), timedelta(0))


__all__ = ["Draft", "keep_unroutable", "publish", "publish_many", "spread"]
