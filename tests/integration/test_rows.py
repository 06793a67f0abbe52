"""How do many rows reach the database, however large they are?"""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from taskrouting.models import AuditLog, Message
from taskrouting.transport import messages, rows, store
from taskrouting.transport.cursors import at_once

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("size", "count"), [(10, 2500), (3_000_000, 9)])
def test_every_message_is_put_whole(size: int, count: int) -> None:
    """Too many or too large for one statement, they take several, in one transaction."""
    sent = [
        messages.Message(queue=f"q{number}", routing_key="a.b", body=bytes([number % 251]) * size)
        for number in range(count)
    ]

    with CaptureQueriesContext(connection) as captured:
        store.put(sent, using="default")

    inserts = [query["sql"] for query in captured if query["sql"].startswith("INSERT")]
    assert len(inserts) > 1 or connection.vendor == "sqlite"
    assert all(len(sql) < 2 * rows.LARGEST for sql in inserts) or connection.vendor == "sqlite"
    found = {row.queue: bytes(row.body) for row in Message.objects.all()}
    assert found == {message.queue: message.body for message in sent}


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("value", ["text", "123", "null", '{"a": 1}', 5, 1.5, True, None, [], {}])
def test_every_json_value_is_kept_as_what_it_is(value: object, count: int) -> None:
    """Few rows or many, a text stays a text even where it looks like JSON."""
    found = [
        {
            "event_id": f"{number}",
            "source": "test",
            "routing_key": "a.b",
            "subject": "",
            "actor": "",
            "correlation_id": "",
            "causation_id": "",
            "traceparent": "",
            "data": value,
            "extensions": {},
            "occurred_at": timezone.now(),
            "relayed_at": None,
        }
        for number in range(count)
    ]

    rows.insert_new(AuditLog, found, using="default")

    assert [row.data for row in AuditLog.objects.all()] == [value] * count


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite answers at once")
def test_a_connection_that_is_lost_among_statements_is_djangos_error() -> None:
    """It is told from a handler's fault by its type, also where the answers come in the end."""
    with pytest.raises(OperationalError), at_once("default"), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    connection.close()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite answers at once")
def test_statements_are_sent_one_by_one_where_the_library_cannot_do_better(monkeypatch) -> None:
    """Psycopg has pipelines only with libpq 14 and later."""
    monkeypatch.setattr("psycopg.Pipeline.is_supported", lambda: False)

    with at_once("default"), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert connection.connection.pgconn.pipeline_status == 0
        assert cursor.fetchall() == [(1,)]
