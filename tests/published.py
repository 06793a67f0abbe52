"""What has been published? Captures declared for one block, and the events that wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.models import Model

from taskrouting import Event, events, publishes
from taskrouting.publishing import declarations
from taskrouting.transport.models import Message


def nothing(instance: Model) -> dict[str, Any]:
    """No data: for tests about anything else."""
    return {}


@contextmanager
def capturing(
    model: type[Model] | str, data: Callable[[Any], Any] = nothing, **options: Any
) -> Iterator[None]:
    """Declare ``@publishes(model, **options)`` for the block."""

    def function(instance: Model) -> Any:
        return data(instance)

    publishes(model, **options)(function)
    try:
        yield
    finally:
        declarations.registry.remove(function)


def published(using: str = "default") -> list[Event]:
    """The events that wait in a database, each once, however many queues want it."""
    rows = Message.objects.using(using).order_by("id")
    found = {row.event_id: _event(row) for row in rows}
    return list(found.values())


def routing_keys(using: str = "default") -> list[str]:
    """The routing keys of the events that wait in a database."""
    return [event.routing_key for event in published(using)]


def somebody_waits_for_us() -> bool:
    """Whether another connection waits for a lock that this one holds; PostgreSQL only."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks"
            " WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        return bool(cursor.fetchone()[0])


def _event(row: Message) -> Event:
    return events.decode(
        bytes(row.body),
        content_type=row.content_type,
        headers=row.headers,
        properties=row.properties,
        routing_key=row.routing_key,
        exchange=row.exchange,
    )
