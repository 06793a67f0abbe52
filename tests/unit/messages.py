"""How does the decoder get to see a message? For the tests of every form of event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from taskrouting import events
from taskrouting.events import Event

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

#: The least that makes a CloudEvent.
ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "shop", "type": "a.b"}

#: The same, as headers in RabbitMQ's binding.
HEADERS = {f"ce-{name}": value for name, value in ATTRIBUTES.items()}


def read(
    body: bytes,
    content_type: str | None = None,
    headers: Mapping[str, Any] | None = None,
    **properties: Any,
) -> Event:
    """Decode a message that was sent to ``crm`` with the routing key ``video.upload``."""
    return events.decode(
        body,
        content_type=content_type,
        headers=headers or {},
        properties=properties,
        routing_key="video.upload",
        exchange="crm",
    )
