"""Which event was it? Read back from its row, as it was published."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from taskrouting.events import Event

from .models import AuditLog


def event_of(entry: AuditLog) -> Event:
    """Return the event that ``entry`` is the record of."""
    return Event(
        id=entry.event_id,
        type=entry.routing_key,
        source=entry.source,
        time=entry.occurred_at,
        subject=entry.subject or None,
        data=_data(entry.data),
        correlation_id=entry.correlation_id or None,
        causation_id=entry.causation_id or None,
        actor=entry.actor or None,
        traceparent=entry.traceparent or None,
        extensions=dict(entry.extensions),
    )


def _data(kept: Any) -> Any:
    """Turn the form in which bytes are kept into bytes again; what only looks like it stays."""
    match kept:
        case {"data_base64": str(text)} if len(kept) == 1:
            try:
                return base64.b64decode(text, validate=True)
            except binascii.Error:
                return kept
    return kept
