"""Where do messages wait in the database? Put, claim, settle, extend, release, wake.

One table holds everything that waits: the outbox, the queues of ``django://``, retries that are
not due, leases of long deliveries. A claim moves ``available_at`` into the future and writes a
fresh claim id; whoever settles names that id, so a worker that lost its claim settles nothing.

Each verb is one statement, atomic by itself on PostgreSQL and SQLite. Times are the database's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connections, router, transaction
from django.db.models import Model
from django.db.models.functions import Now

from . import models, wakeup
from .messages import OUTBOX, Message

HIGHEST_PRIORITY = 9

TABLE = models.Message._meta.db_table

PUT_COLUMNS = (
    "queue", "event_id", "source", "exchange", "routing_key", "subscription", "token", "body",
    "headers", "properties", "content_type", "content_encoding", "priority",
)  # fmt: skip
TAKE_COLUMNS = ("id", "deliveries", *PUT_COLUMNS)


@dataclass(frozen=True, slots=True)
class Dialect:
    """The few words in which the databases differ. ``later`` takes seconds as a parameter."""

    now: str
    later: str
    skip_locked: str

    #: Seconds from now until the instant that ``{}`` stands for.
    until: str


DIALECTS = {
    "postgresql": Dialect(
        "statement_timestamp()",
        "statement_timestamp() + make_interval(secs => %s)",
        "FOR UPDATE SKIP LOCKED",
        "extract(epoch FROM {} - statement_timestamp())",
    ),
    # One writer at a time: the UPDATE takes the write lock before it reads.
    "sqlite": Dialect(
        "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')",
        "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', %s || ' seconds')",
        "",
        "(julianday({}) - julianday('now')) * 86400.0",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A message that this claim, and nobody else, may settle."""

    id: int
    claim: UUID
    message: Message

    #: How often it has been handed out, this time included.
    deliveries: int


def put(messages: Sequence[Message], *, using: str | None = None) -> None:
    """Add ``messages`` in the transaction that is open on ``using``, and wake whoever waits.

    ``using`` defaults to the database the router writes messages to. One INSERT for all.
    """
    if not messages:
        return
    alias = using or router.db_for_write(models.Message)
    dialect = DIALECTS[connections[alias].vendor]
    row = f"({', '.join(['%s'] * len(PUT_COLUMNS))}, {dialect.later}, {dialect.now}, 0)"
    columns = ", ".join((*PUT_COLUMNS, "available_at", "created_at", "deliveries"))
    chunks = list(_chunks(messages, connections[alias]))
    # One statement is atomic by itself.
    with nullcontext() if len(chunks) == 1 else transaction.atomic(using=alias, savepoint=False):
        for chunk in chunks:
            rows = ", ".join([row] * len(chunk))
            values = [value for message in chunk for value in _row(message, alias)]
            _execute(alias, f"INSERT INTO {TABLE} ({columns}) VALUES {rows}", values)
        wakeup.after_commit(alias)


def claim(
    queue: str, limit: int, lease: timedelta, *, using: str, mine: UUID | None = None
) -> list[Claimed]:
    """Take up to ``limit`` due messages, most urgent first; ``mine`` names the claim."""
    if limit < 1:
        return []
    dialect = DIALECTS[connections[using].vendor]
    mine = mine or uuid4()
    # MATERIALIZED: run once. PostgreSQL may run a plain subquery again for every row it updates.
    sql = f"""
        WITH due AS MATERIALIZED (
            SELECT id FROM {TABLE} WHERE queue = %s AND available_at <= {dialect.now}
            ORDER BY priority DESC, available_at, id LIMIT %s {dialect.skip_locked}
        )
        UPDATE {TABLE}
        SET claim = %s, available_at = {dialect.later}, deliveries = deliveries + 1
        WHERE id IN (SELECT id FROM due)
        RETURNING {", ".join(TAKE_COLUMNS)}"""
    values = [queue, limit, _uuid(mine, using), lease.total_seconds()]
    taken = [_claimed(row, mine) for row in _execute(using, sql, values)]
    return sorted(taken, key=lambda each: (-each.message.priority, each.id))


def settle(claimed: Iterable[Claimed], *, using: str) -> int:
    """Delete what was claimed; return how many were still ours to delete."""
    return _on_claimed("DELETE FROM {table} WHERE {mine}", [], claimed, using)


def extend(claimed: Iterable[Claimed], lease: timedelta, *, using: str) -> int:
    """Keep what was claimed for another ``lease`` from now; return how many are still ours."""
    later = DIALECTS[connections[using].vendor].later
    sql = f"UPDATE {{table}} SET available_at = {later} WHERE {{mine}}"
    return _on_claimed(sql, [lease.total_seconds()], claimed, using)


def release(
    claimed: Iterable[Claimed], *, using: str, delay: timedelta = timedelta(0), seen: bool = True
) -> int:
    """Give back what was claimed, for the same queue, due in ``delay``.

    ``seen=False`` takes back the count as well: nobody has looked at the message.
    """
    dialect = DIALECTS[connections[using].vendor]
    unseen = "" if seen else ", deliveries = deliveries - 1"
    sql = (
        f"UPDATE {{table}} SET claim = NULL, available_at = {dialect.later}{unseen} WHERE {{mine}}"
    )
    count = _on_claimed(sql, [delay.total_seconds()], claimed, using)
    if count:
        wakeup.after_commit(using)
    return count


def abandon(queue: str, mine: UUID, *, using: str) -> None:
    """Give back what is claimed as ``mine``, if anything is: the answer may have been lost."""
    now = DIALECTS[connections[using].vendor].now
    sql = f"""UPDATE {TABLE}
        SET claim = NULL, available_at = {now}, deliveries = deliveries - 1
        WHERE queue = %s AND claim = %s"""
    _execute(using, sql, [queue, _uuid(mine, using)])


def renew(tokens: Sequence[UUID], lease: timedelta, *, using: str) -> set[UUID]:
    """Push the leased copies that carry ``tokens`` another ``lease`` ahead; return those found.

    A copy that was claimed meanwhile (its lease had run out) is not ours any more.
    """
    if not tokens:
        return set()
    later = DIALECTS[connections[using].vendor].later
    holes = ", ".join(["%s"] * len(tokens))
    sql = f"""UPDATE {TABLE} SET available_at = {later}
        WHERE token IN ({holes}) AND claim IS NULL RETURNING token"""
    values = [lease.total_seconds(), *(_uuid(token, using) for token in tokens)]
    return {_as_uuid(row[0]) for row in _execute(using, sql, values) if row[0] is not None}


def drop(token: UUID, *, using: str) -> None:
    """Delete the copy that carries ``token``, wherever it waits: its delivery has an outcome."""
    _execute(using, f"DELETE FROM {TABLE} WHERE token = %s", [_uuid(token, using)])


def received(row: int, queue: str, *, using: str) -> None:
    """Delete the row that was kept until ``queue`` had received its message."""
    _execute(using, f"DELETE FROM {TABLE} WHERE id = %s AND queue = %s", [row, queue])


def hasten(*, using: str) -> None:
    """Make everything that only waits for its time due now (for tests that do not wait)."""
    waiting = models.Message.objects.using(using).filter(claim=None, available_at__gt=Now())
    waiting.update(available_at=Now())


def is_due(*, using: str, queues: Iterable[str] | None = None) -> bool:
    """Say whether anything waits (in ``queues``, if given) that could be taken now."""
    due = models.Message.objects.using(using).filter(available_at__lte=Now())
    return (due if queues is None else due.filter(queue__in=list(queues))).exists()


def next_due(queues: Sequence[str], *, using: str) -> timedelta | None:
    """How long until the next message of ``queues`` is due? ``None`` when there is none.

    One step into the index for each queue and priority, however many messages wait.
    """
    if not queues:
        return None
    names = ", ".join(["(%s)"] * len(queues))
    levels = ", ".join(f"({level})" for level in range(HIGHEST_PRIORITY + 1))
    until = DIALECTS[connections[using].vendor].until.format("min(due)")
    sql = f"""SELECT {until} FROM (
        SELECT (
            SELECT min(available_at) FROM {TABLE}
            WHERE queue = names.column1 AND priority = levels.column1
        ) AS due
        FROM (VALUES {names}) AS names, (VALUES {levels}) AS levels
    ) AS firsts"""
    seconds = _execute(using, sql, list(queues))[0][0]
    return None if seconds is None else timedelta(seconds=max(float(seconds), 0.0))


def queues(*, using: str) -> list[str]:
    """Return the names of the queues in which something waits, by hopping along the index."""
    names: list[str] = []
    last = ""
    while True:
        found = models.Message.objects.using(using).filter(queue__gt=last).order_by("queue")
        nearest = found.values_list("queue", flat=True).first()
        if nearest is None:
            return names
        names.append(nearest)
        last = nearest


def _on_claimed(sql: str, values: list[Any], claimed: Iterable[Claimed], using: str) -> int:
    """Run ``sql`` on the rows of each claim, fenced by the claim's id."""
    rows_of: dict[UUID, list[int]] = {}
    for each in claimed:
        rows_of.setdefault(each.claim, []).append(each.id)
    count = 0
    for mine, ids in rows_of.items():
        where = f"claim = %s AND id IN ({', '.join(['%s'] * len(ids))}) RETURNING id"
        statement = sql.format(table=TABLE, mine=where)
        count += len(_execute(using, statement, [*values, _uuid(mine, using), *ids]))
    return count


def _execute(using: str, sql: str, values: Sequence[Any]) -> list[Any]:
    """Run one statement on ``using``; return the rows it hands back, if any."""
    with connections[using].cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall()) if cursor.description else []


def adapted(row: object, model: type[Model], columns: Sequence[str], using: str) -> list[Any]:
    """Read ``columns`` of ``row`` in the types that the database of ``using`` takes."""
    fields: Any = model._meta
    return [
        fields.get_field(column).get_db_prep_save(getattr(row, column), connections[using])
        for column in columns
    ]


def _row(message: Message, using: str) -> list[Any]:
    """Adapt one message to the database's types; the last value is its delay in seconds."""
    values = adapted(message, models.Message, PUT_COLUMNS, using)
    return [*values, message.delay.total_seconds()]


def _claimed(row: Sequence[Any], mine: UUID) -> Claimed:
    """Read one row of ``TAKE_COLUMNS``."""
    found = dict(zip(TAKE_COLUMNS, row, strict=True))
    row_id, deliveries = found.pop("id"), found.pop("deliveries")
    found["body"] = bytes(found["body"])
    found["token"] = _as_uuid(found["token"])
    for column in ("headers", "properties"):
        if isinstance(found[column], str):
            found[column] = json.loads(found[column])
    return Claimed(id=row_id, claim=mine, deliveries=deliveries, message=Message(**found))


def _uuid(value: UUID, using: str) -> Any:
    """Adapt a UUID to the database's type."""
    return models.Message._meta.get_field("claim").get_db_prep_value(value, connections[using])


def _as_uuid(value: Any) -> Any:
    """Read a UUID column."""
    return value if value is None or isinstance(value, UUID) else UUID(str(value))


def _chunks(messages: Sequence[Message], connection: Any) -> Iterable[Sequence[Message]]:
    """Cut ``messages`` so that no statement has more parameters than the database takes."""
    most = connection.features.max_query_params or 30_000
    size = max(1, min(1000, most // (len(PUT_COLUMNS) + 1)))
    return (messages[start : start + size] for start in range(0, len(messages), size))


__all__ = [
    "OUTBOX", "Claimed", "abandon", "claim", "drop", "extend", "hasten", "is_due", "next_due",
    "put", "queues", "received", "release", "renew", "settle",
]  # fmt: skip
