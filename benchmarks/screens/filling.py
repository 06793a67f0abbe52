"""What is in the tables? Rows like those of a shop that has run for a month.

==================  =============================================================================
routing keys        a few hundred, some of them far more often than others; one is rare, and one was
                    common once and has not come since
subjects            every other one has one event, a thousand have many; one has none for long
conversations       four events each; one has a hundredth of all events, with one cause
deliveries          two of each event of the newer half; one in a thousand is dead. One subscription
                    has retired: all of its deliveries are old
==================  =============================================================================
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.management import call_command
from django.db import connection

from taskrouting.models import DeadLetter
from taskrouting.transport.store import OUTBOX

from .dialects import POSTGRESQL, SQLITE, Dialect
from .installation import AREAS, QUEUES, SUBSCRIPTIONS

KEYS, MONTH = 300, 30 * 86400

RARE, LEGACY = "rare.thing.seen", "legacy.row.imported"
OLD_CUSTOMER = "customer:old"

#: Messages that wait in the outbox.
LEAVING = 2000

#: A traceback, on one line: how it is written is not what is measured.
ERROR = (
    "Traceback (most recent call last): " + "File handlers.py, line 7, in handle " * 12
) + "ValueError: no codec for "

_FACTORS = (2654435761, 2246822519, 3266489917, 668265263)


@dataclass(frozen=True, slots=True)
class Shape:
    """How many rows there are, and which ones are special."""

    rows: int

    @property
    def old(self) -> int:
        """Up to here it was long ago."""
        return self.rows // 20

    @property
    def large(self) -> tuple[int, int]:
        """The first and the last event of the large conversation."""
        first = self.rows // 12 * 4 + 1
        return first, first + self.rows // 100

    @property
    def letters(self) -> int:
        """Dead letters; half of them are resolved."""
        return self.rows // 250

    @property
    def waiting(self) -> int:
        """Messages that wait, those in the outbox last."""
        return self.rows // 100


def event_id(number: int) -> str:
    """Name the event with that number, as ``_event`` does in SQL."""
    return f"{number:08}-0000-7000-8000-000000000000"


def fill(shape: Shape) -> None:
    """Make all tables and their rows, and say how long each took."""
    call_command("migrate", verbosity=0)
    call_command("declare_topology", verbosity=0)
    dialect = POSTGRESQL if connection.vendor == "postgresql" else SQLITE
    _execute(*dialect.before)
    for table in ("taskrouting_auditlog", "taskrouting_delivery"):
        _timed(table, *_in_bulk(table, _ROWS[table](shape, dialect), dialect))
    _timed("taskrouting_deadletter", _dead_letters(shape, dialect))
    _timed("taskrouting_message", _messages(shape, dialect))
    _timed("statistics", *dialect.after)


def _in_bulk(table: str, statement: str, dialect: Dialect) -> Iterator[str]:
    """Make the rows before their indexes, which is quicker by far."""
    with connection.cursor() as cursor:
        cursor.execute(dialect.indexes.format(table))
        indexes = cursor.fetchall()
    yield from (f'DROP INDEX "{name}"' for name, _ in indexes)
    yield statement
    yield from (made for _, made in indexes)


def _timed(name: str, *statements: str) -> None:
    began = time.monotonic()
    _execute(*statements)
    print(f"{name:24} {time.monotonic() - began:6.1f} s", flush=True)


def _execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _insert(table: str, count: int, columns: dict[str, str]) -> str:
    """Write the statement that makes ``count`` rows, with ``n`` for the number of each."""
    names, values = ", ".join(columns), ", ".join(columns.values())
    return f"""INSERT INTO {table} ({names}) SELECT {values} FROM (
        WITH RECURSIVE numbers (n) AS (
            SELECT CAST(1 AS bigint) UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}
        ) SELECT n FROM numbers
    ) AS series"""  # noqa: S608  # no value in it is from outside


def _chance(number: str, which: int) -> str:
    """A number up to 65535 that looks like chance, and is the same each time."""
    return f"((({number}) * {_FACTORS[which]} % 4294967296) / 65536)"


def _event(number: str) -> str:
    return f"substr(CAST(100000000 + ({number}) AS text), 2) || '-0000-7000-8000-000000000000'"


def _key(number: str, shape: Shape) -> str:
    """The routing key of an event."""
    chance = _chance(number, 0)
    kind = f"({chance} * {chance} / 65536 * {chance} / 65536 * {KEYS} / 65536)"
    usual = f"'area' || ({kind} % {AREAS}) || '.thing' || ({kind} % 30) || '.done' || {kind}"
    return (
        f"CASE WHEN ({number}) <= 20 THEN '{RARE}' WHEN ({number}) <= {shape.old} "
        f"THEN '{LEGACY}' ELSE {usual} END"
    )


def _audit(shape: Shape, dialect: Dialect) -> str:
    first, last = shape.large
    chance = _chance("n", 1)
    happened = f"({shape.rows} - n) * {MONTH}.0 / {shape.rows}"
    data = f"""'{{"number": ' || n || ', "kind": "upload", "title": "{"x" * 100}"}}'"""
    columns = {
        "event_id": _event("n"),
        "source": "'shop'",
        "routing_key": _key("n", shape),
        "subject": f"CASE WHEN n <= {shape.old} THEN '{OLD_CUSTOMER}' WHEN {chance} % 4 = 0 THEN "
        f"'customer:' || ({chance} / 4 % 1000) WHEN {chance} % 4 = 1 THEN '' "
        "ELSE 'order:' || n END",
        "actor": f"CASE WHEN {chance} % 3 = 0 THEN '' ELSE 'auth.user:' || ({chance} % 50) END",
        "correlation_id": f"CASE WHEN n BETWEEN {first} AND {last} THEN {_event(str(first))} "
        f"ELSE {_event('(n - 1) / 4 * 4 + 1')} END",
        "causation_id": f"CASE WHEN n > {first} AND n <= {last} THEN {_event(str(first))} "
        f"WHEN n % 4 = 1 THEN '' ELSE {_event('n - 1')} END",
        "traceparent": "''",
        "data": dialect.json.format(data),
        "extensions": "'{}'",
        "occurred_at": dialect.ago.format(happened),
        "relayed_at": dialect.ago.format(happened),
        "recorded_at": dialect.ago.format(happened),
    }
    return _insert("taskrouting_auditlog", shape.rows, columns)


def _deliveries(shape: Shape, dialect: Dialect) -> str:
    event = f"({shape.rows} / 2 + (n + 1) / 2)"
    some = f"({_chance(event, 2)} % 12 * 2 + n % 2)"
    subscription = f"(CASE WHEN {some} = 0 AND n > {shape.old} THEN 2 ELSE {some} END)"
    chance = f"({_chance('n', 3)} % 1000)"
    ended = f"n <= {shape.rows - 500}"
    then = dialect.ago.format(f"({shape.rows} - n) * {MONTH}.0 / {shape.rows} / 2")
    error = (
        f"""'[{{"attempt": 1, "started": "2026-11-20T12:00:00+00:00", "duration": 1.5, """
        f""""worker": "w-1", "exception": "builtins.ValueError", "message": "no codec", """
        f""""traceback": "{ERROR}"}}]'"""
    )
    columns = {
        "event_id": _event(event),
        "source": "'shop'",
        "subscription": f"'s' || {subscription}",
        "queue": f"'q' || ({subscription} % {QUEUES}) || '_queue'",
        "routing_key": _key(event, shape),
        "state": f"CASE WHEN n > {shape.rows - 50} THEN 'running' WHEN NOT {ended} THEN 'pending' "
        f"WHEN {chance} = 0 THEN 'dead' WHEN {chance} = 1 THEN 'discarded' ELSE 'handled' END",
        "attempts": "1",
        "crashes": "0",
        "suspect": "false",
        "errors": dialect.json.format(f"CASE WHEN {ended} AND {chance} = 0 THEN {error} "
                                      "ELSE '[]' END"),
        "worker": f"CASE WHEN {ended} THEN 'w-' || (n % 20) ELSE '' END",
        "received_at": then,
        "started_at": then,
        "finished_at": f"CASE WHEN {ended} THEN {then} END",
    }  # fmt: skip
    return _insert("taskrouting_delivery", shape.rows, columns)


_ROWS = {"taskrouting_auditlog": _audit, "taskrouting_delivery": _deliveries}


def _content(event: str, shape: Shape, dialect: Dialect) -> dict[str, str]:
    """What messages and dead letters have in common."""
    return {
        "event_id": _event(event),
        "source": "'shop'",
        "exchange": "'events'",
        "routing_key": _key(event, shape),
        "body": dialect.bytes.format(f'\'{{"title": "{"x" * 200}"}}\''),
        "headers": "'{}'",
        "properties": "'{}'",
        "content_type": "'application/json'",
        "content_encoding": "'utf-8'",
    }


def _dead_letters(shape: Shape, dialect: Dialect) -> str:
    chance = _chance("n", 1)
    number = f"({chance} % {SUBSCRIPTIONS})"
    then = dialect.ago.format(f"({shape.letters} - n) * {MONTH}.0 / {shape.letters}")
    columns = {
        **_content(f"n * {shape.rows // shape.letters}", shape, dialect),
        "reason": f"CASE WHEN {chance} % 5 = 0 THEN 'rejected' ELSE 'exhausted' END",
        "queue": f"'q' || ({number} % {QUEUES}) || '_queue'",
        "subscription": f"'s' || {number}",
        "error": f"'{ERROR}' || ({chance} % 3)",
        "created_at": then,
        "resolved_at": f"CASE WHEN n % 2 = 0 THEN {then} END",
        "resolution": "CASE WHEN n % 2 = 0 THEN 'redriven' ELSE '' END",
        "note": "''",
    }
    if "cause" in {field.name for field in DeadLetter._meta.fields}:
        columns["cause"] = f"'ValueError in handlers.py:' || ({chance} % 3)"
    return _insert("taskrouting_deadletter", shape.letters, columns)


def _messages(shape: Shape, dialect: Dialect) -> str:
    number = "(CASE WHEN n % 10 = 0 THEN n / 10 % 24 ELSE 1 END)"  # most wait in one queue
    leaving = f"n > {shape.waiting - LEAVING}"
    columns = {
        **_content(f"{shape.rows - shape.waiting} + n", shape, dialect),
        "queue": f"CASE WHEN {leaving} THEN '{OUTBOX}' "
        f"ELSE 'q' || ({number} % {QUEUES}) || '_queue' END",
        "subscription": f"CASE WHEN {leaving} THEN '' ELSE 's' || {number} END",
        "priority": "0",
        "deliveries": "0",
        "created_at": dialect.ago.format(f"({shape.waiting} - n) * 3600.0 / {shape.waiting}"),
    }
    return _insert("taskrouting_message", shape.waiting, columns)
