"""How do many rows reach the database in one statement?

PostgreSQL gets one JSON document, which it takes apart. Microseconds of CPU per row of the audit
log, in batches of 500, for the client and for PostgreSQL: ``bulk_create`` 137 and 33, an array per
column with ``unnest`` 31 and 14, ``executemany`` 26 and 57, one document 10 and 17.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models import BinaryField, JSONField, Model

from .cursors import cursor
from .dialects import DIALECTS

#: Most parameters of a statement, where the database has no limit of its own; and most rows.
PARAMETERS, ROWS = 30_000, 1000

#: Characters of a document. PostgreSQL takes a JSON array of 256 MiB, and has it in memory twice.
LARGEST = 16 * 1024 * 1024

#: So few rows are sent as they are: a document costs more to take apart than it saves.
FEW = 3

Row = Mapping[str, Any]

#: SQL, and its parameters.
Statement = tuple[str, list[Any]]


#: Names, each with SQL.
Pairs = tuple[tuple[str, str], ...]


def insert_new(
    model: type[Model],
    rows: Sequence[Row],
    *,
    using: str,
    now: Sequence[str] = (),
    returning: Sequence[str] = (),
) -> list[tuple[Any, ...]]:
    """Insert those ``rows`` whose key is not there yet; return their columns ``returning``.

    The columns named by ``now`` get the time of the statement. More rows than fit into one
    statement take several.
    """
    time = DIALECTS[connections[using].vendor].now
    back = f" RETURNING {', '.join(returning)}" if returning else ""
    inserted: list[tuple[Any, ...]] = []
    for sql, values in inserts(model, rows, using, tuple((name, time) for name in now)):
        with cursor(using) as opened:
            opened.execute(f"{sql} ON CONFLICT DO NOTHING{back}", values)
            inserted += opened.fetchall() if returning else []
    return inserted


def add_up(
    model: type[Model],
    rows: Sequence[Row],
    *,
    using: str,
    key: Sequence[str],
    number: str,
    since: tuple[str, int],
) -> None:
    """Insert ``rows``, or add their ``number`` to that of the row which has the same ``key``.

    Sort them: two writers that meet wait for each other then, instead of deadlocking. The column
    ``since[0]`` gets the time of the statement, rounded down to ``since[1]`` seconds.
    """
    column, seconds = since
    floored = DIALECTS[connections[using].vendor].floored.format(seconds)
    sum_up = f"{number} = {model._meta.db_table}.{number} + excluded.{number}"
    for sql, values in inserts(model, rows, using, ((column, floored),)):
        with cursor(using) as opened:
            opened.execute(f"{sql} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {sum_up}", values)


def inserts(
    model: type[Model], rows: Sequence[Row], using: str, computed: Pairs = (), kinds: Pairs = ()
) -> list[Statement]:
    """Write the INSERTs of ``rows``, as few as may be; each row has values for the same names.

    ``computed`` has columns and the SQL for them, in which a row's own values may stand; ``kinds``
    has those of the names that are no columns, with PostgreSQL's types of them.
    """
    if not rows:
        return []
    names = tuple(rows[0])
    postgresql = connections[using].vendor == "postgresql"
    if postgresql and len(rows) > FEW:
        sql = _of_document(model, names, using, computed, kinds)
        return [(sql, [document]) for document in _documents(rows)]
    fields = _fields(model, names, kinds)
    spelt = partial(_spelt, fields) if postgresql else partial(_adapted, fields, connections[using])
    statements = []
    for some in _parts(rows, len(names), using):
        sql, order = _of_values(model, names, computed, kinds, len(some))
        statements.append((sql, [spelt(name, row[name]) for row in some for name in order]))
    return statements


def among(column: str, values: Sequence[Any], using: str) -> tuple[str, list[Any]]:
    """Write the condition that ``column`` has one of ``values``, and its parameters.

    A list that stays one parameter takes a tenth of the time that Django needs for each of many.
    """
    if connections[using].vendor == "postgresql":
        return f"{column} = ANY(%s)", [list(values)]
    return f"{column} IN ({', '.join(['%s'] * len(values))})", list(values)


@cache
def _fields(model: type[Model], names: tuple[str, ...], kinds: Pairs) -> Mapping[str, Any]:
    """Look up the fields of those names that are columns; so seldom, it costs as much as a row."""
    return {name: model._meta.get_field(name) for name in names if name not in dict(kinds)}


@cache
def _of_values(
    model: type[Model], names: tuple[str, ...], computed: Pairs, kinds: Pairs, count: int
) -> tuple[str, list[str]]:
    """Write the INSERT of ``count`` rows, and which values each gives, in their order."""
    others = dict(kinds)
    order = [name for name in names if name not in others]
    columns, values = list(order), ["%s"] * len(order)
    for column, sql in computed:
        columns.append(column)
        for name in others:
            if name in sql:
                sql = sql.replace(name, "%s")
                order.append(name)
        values.append(sql)
    rows = ", ".join([f"({', '.join(values)})"] * count)
    return f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) VALUES {rows}", order


@cache
def _of_document(
    model: type[Model], names: tuple[str, ...], using: str, computed: Pairs, kinds: Pairs
) -> str:
    """Write PostgreSQL's INSERT of the rows in a document, with what each column gets."""
    meta: Any = model._meta
    columns = {name: name for name in names if name not in dict(kinds)}
    types = {name: meta.get_field(name).db_type(connections[using]) for name in columns}
    for name in [name for name in columns if isinstance(meta.get_field(name), BinaryField)]:
        types[name], columns[name] = "text", f"decode({name}, 'base64')"
    types |= dict(kinds)
    typed = ", ".join(f"{name} {types[name]}" for name in names)
    columns |= dict(computed)
    into = f"INSERT INTO {meta.db_table} ({', '.join(columns)})"
    given = f"jsonb_to_recordset(%s::jsonb) AS given ({typed})"
    return f"{into} SELECT {', '.join(columns.values())} FROM {given}"


def _spelt(fields: Mapping[str, Any], name: str, value: Any) -> Any:
    """Say a value as psycopg takes it: JSON as text, and nothing at all as NULL."""
    is_json = value is not None and isinstance(fields.get(name), JSONField)
    return _WRITER.encode(value) if is_json else value


def _documents(rows: Sequence[Row]) -> Iterator[str]:
    """Write ``rows`` as JSON arrays that are neither too long nor too large."""
    texts: list[str] = []
    size = 0
    for row in rows:
        text = _WRITER.encode(row)
        if texts and (size + len(text) > LARGEST or len(texts) == ROWS):
            yield f"[{','.join(texts)}]"
            texts, size = [], 0
        texts.append(text)
        size += len(text)
    yield f"[{','.join(texts)}]"


def _parts(rows: Sequence[Row], parameters: int, using: str) -> Iterator[Sequence[Row]]:
    """Cut ``rows``, of so many parameters each, so that no statement has more than may be."""
    most = connections[using].features.max_query_params or PARAMETERS
    size = max(1, min(ROWS, most // parameters))
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _adapted(fields: Mapping[str, Any], connection: Any, name: str, value: Any) -> Any:
    """Read a value in the type that the database takes; of what is no column, as it is."""
    return fields[name].get_db_prep_save(value, connection) if name in fields else value


def _spoken(value: object) -> str:
    """Say in JSON what it has no word for."""
    if isinstance(value, bytes | memoryview):
        return b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no value of a row.")


_WRITER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_spoken
)
