"""Does the audit log work in partitions, as docs/how-to/partition-the-audit-log.md makes them?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection

from taskrouting.audit import writer
from taskrouting.audit.models import AuditLog
from taskrouting.events import Event
from tests.docs import pages

PAGE = pages.DOCS / "how-to" / "partition-the-audit-log.md"

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has partitions"),
]


def event(number: int, time: datetime) -> Event:
    """An event that happened at ``time``."""
    return Event(id=f"e-{number}", type="video.upload", source="tests", time=time, data=None)


BEFORE = event(1, datetime(2026, 11, 30, tzinfo=UTC))
JANUARY = event(2, datetime(2027, 1, 31, 23, tzinfo=UTC))
LATER = event(3, datetime(2031, 5, 1, tzinfo=UTC))


def rows_in(table: str) -> int:
    """How many rows a table has."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608
        return int(cursor.fetchone()[0])


def indexes_of(table: str) -> set[str]:
    """The names of a table's indexes that are not unique."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = %s "
            "AND indexdef NOT LIKE 'CREATE UNIQUE %%'",
            [table],
        )
        return {name for (name,) in cursor.fetchall()}


def test_the_page_makes_partitions_that_keep_every_promise() -> None:
    """What was there stays, each month has its place, a second copy is refused, a month goes."""
    once, month, forget = (each.text for each in pages.blocks(PAGE.read_text()))
    writer.record([BEFORE])
    known = indexes_of("taskrouting_auditlog")
    with connection.cursor() as cursor:
        cursor.execute(once)
        cursor.execute(month)
    for _ in range(2):
        writer.record([BEFORE, JANUARY, LATER])

    assert indexes_of("taskrouting_auditlog") == known
    assert list(AuditLog.objects.order_by("id").values_list("event_id", flat=True)) == [
        "e-1", "e-2", "e-3",
    ]  # fmt: skip
    parts = ("before", "2027_01", "other")
    assert [rows_in(f"taskrouting_auditlog_{part}") for part in parts] == [1, 1, 1]
    with connection.cursor() as cursor:
        cursor.execute(forget)
    assert set(AuditLog.objects.values_list("event_id", flat=True)) == {"e-1", "e-3"}
