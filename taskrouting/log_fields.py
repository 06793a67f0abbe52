"""Which fields does a log line about an event have? The same ones, whoever writes it.

They are given as ``extra=``, so that each is an attribute of the LogRecord and a formatter that
writes JSON has it by itself. ``instruments.logging.EventFilter`` adds them to the lines of others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskrouting.context import Handling
    from taskrouting.events import Event
    from taskrouting.transport.messages import Arrival

#: Every field that says which event, for whom, and which try. What is not known is ``None``.
FIELDS = (
    "event_id",
    "event_source",
    "routing_key",
    "correlation_id",
    "subscription",
    "queue",
    "attempt",
)


def about(event: Event | None = None, **more: Any) -> dict[str, Any]:
    """Return the fields of a line about ``event``; ``more`` are those that it does not know."""
    if event is None:
        return more
    return {
        "event_id": event.id,
        "event_source": event.source,
        "routing_key": event.routing_key,
        "correlation_id": event.correlation_id,
        **more,
    }


def while_handling(handling: Handling) -> dict[str, Any]:
    """Return the fields of a line that is written while an event, or a batch, is handled."""
    return about(
        handling.event,
        subscription=handling.subscription,
        queue=handling.queue,
        attempt=handling.attempt,
    )


def about_message(arrival: Arrival) -> dict[str, Any]:
    """Return the fields of a line about a message whose event nobody could read."""
    named = arrival.properties.get("message_id")
    return about(
        event_id=named if isinstance(named, str) else None,
        routing_key=arrival.routing_key,
        queue=arrival.queue,
        subscription=arrival.subscription,
    )
