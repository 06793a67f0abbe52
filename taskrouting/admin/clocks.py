"""Which rows were written after that time? Those with higher numbers than the last one before it.

Rows get their numbers as they are written, so a table without an index on its times is searched
as one looks up a word: open it in the middle, and decide for a half. Twenty-four looks find the
place among ten million rows.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connections
from django.db.models import Model, QuerySet

Rows = QuerySet[Model, Model]

#: Rows that were written at once may have their numbers in another order.
SLACK = timedelta(minutes=1)

#: ``low`` is never above the first number whose time is not before; ``high`` never below it.
_SEARCH = """
WITH RECURSIVE halves (low, high) AS (
    SELECT (SELECT min(id) FROM {table}), (SELECT max(id) + 1 FROM {table})
    UNION ALL
    SELECT CASE WHEN {before} THEN (low + high) / 2 + 1 ELSE low END,
        CASE WHEN {before} THEN high ELSE (low + high) / 2 END
    FROM halves WHERE low < high
)
SELECT low FROM halves WHERE low >= high
"""

#: Whether the first row from the middle on is before the time; it counts as later if there is none.
_BEFORE = """(SELECT {clock} FROM {table} WHERE id >= (low + high) / 2 ORDER BY id LIMIT 1) < %s"""


def since(rows: Rows, clock: str, when: datetime) -> dict[str, Any]:
    """Ask for the rows that were written at ``when`` or later, by their column ``clock``."""
    return {"pk__gte": _first_from(rows, clock, when - SLACK), f"{clock}__gte": when}


def until(rows: Rows, clock: str, when: datetime) -> dict[str, Any]:
    """Ask for the rows that were written before ``when``, by their column ``clock``."""
    return {"pk__lt": _first_from(rows, clock, when + SLACK), f"{clock}__lt": when}


def _first_from(rows: Rows, clock: str, when: datetime) -> int:
    """Return the lowest number of a row that is not before ``when``, or the next one to come."""
    connection = connections[rows.db]
    quote = connection.ops.quote_name
    names = {"table": quote(rows.model._meta.db_table), "clock": quote(clock)}
    sql = _SEARCH.format(before=_BEFORE.format(**names), **names)
    value = connection.ops.adapt_datetimefield_value(when)
    with connection.cursor() as cursor:
        cursor.execute(sql, [value, value])
        found = cursor.fetchone()
    return int(found[0]) if found and found[0] is not None else 0
