"""How does an event get into the audit log? A batch subscription, like any user could write.

One INSERT per batch, and the unique key on (event id, source) makes a second copy a no-op, so this
subscription needs no ledger.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver

from taskrouting import conf, topics
from taskrouting.events import Event
from taskrouting.policies import Batch
from taskrouting.routing.subscriptions import Subscription, registry
from taskrouting.transport.rows import insert_new

from .models import AuditLog

#: The name of the audit log's own subscription.
NAME = "taskrouting.audit"

#: The extension in which the pipeline notes when the relay handed the event to the broker.
RELAYED_TIME = "relayedtime"


def subscribe() -> None:
    """Subscribe the audit log as the settings say; ``AUDIT["queue"] = None`` switches it off."""
    audit = conf.current().audit
    registry.remove(NAME)
    if audit.queue is not None:
        registry.add(
            Subscription(
                name=NAME,
                patterns=audit.bindings,
                queue=audit.queue,
                handler=record,
                batch=Batch(size=audit.batch_size, wait=audit.batch_wait),
                ledger=False,
            )
        )


@receiver(setting_changed)
def _subscribe_anew(*, setting: str, **kwargs: Any) -> None:
    """Follow ``override_settings``, as every setting does."""
    if setting == "TASKROUTING":
        subscribe()


def record(events: Sequence[Event]) -> None:
    """Write one row per event, sorted by key so that two writers cannot deadlock."""
    exclude = conf.current().audit.exclude
    wanted = [
        event
        for event in events
        if not any(topics.matches(pattern, event.routing_key) for pattern in exclude)
    ]
    wanted.sort(key=lambda event: (event.source, event.id))
    insert_new(AuditLog, [row_of(event) for event in wanted], using=conf.current().database)


def row_of(event: Event) -> dict[str, Any]:
    """Return what the audit log keeps of an event, by its columns."""
    extensions = dict(event.extensions)
    relayed = extensions.pop(RELAYED_TIME, None)
    return {
        "event_id": event.id,
        "source": event.source,
        "routing_key": event.routing_key,
        "subject": event.subject or "",
        "actor": event.actor or "",
        "correlation_id": event.correlation_id or "",
        "causation_id": event.causation_id or "",
        "traceparent": event.traceparent or "",
        "data": _data(event.data),
        "extensions": extensions,
        "occurred_at": event.time,
        "relayed_at": _instant(relayed),
    }


def _instant(text: object) -> datetime | None:
    """Read when the relay sent it; a foreign header that is no such time says nothing."""
    try:
        instant = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return instant if instant.tzinfo else None


def _data(data: Any) -> Any:
    """Keep bytes in a form that JSON has."""
    if isinstance(data, bytes):
        return {"data_base64": base64.b64encode(data).decode()}
    return data
