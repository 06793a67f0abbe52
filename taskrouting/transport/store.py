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
from django.db.models.functions import Now

from . import models, wakeup
from .cursors import cursor
from .dialects import DIALECTS
from .messages import OUTBOX, Message
from .rows import among, inserts

HIGHEST_PRIORITY = 9

TABLE = models.Message._meta.db_table

PUT_COLUMNS = (
    "queue", "event_id", "source", "exchange", "routing_key", "subscription", "token", "body",
    "headers", "properties", "content_type", "content_encoding", "priority",
)  # fmt: skip
TAKE_COLUMNS = ("id", "deliveries", *PUT_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A message that this claim, and nobody else, may settle."""

    id: int
    claim: UUID
    message: Message

    #: How often it has been handed out, this time included.
    deliveries: int


#: What lets a transaction commit on PostgreSQL without waiting for the disk.
HASTE = "SELECT set_config('synchronous_commit', 'off', true)"


def put(messages: Sequence[Message], *, using: str | None = None) -> None:
    """Add ``messages`` in the transaction that is open on ``using``, and wake whoever waits.

    ``using`` defaults to the database the router writes messages to. One INSERT for all.
    """
    if not messages:
        return
    alias = using or router.db_for_write(models.Message)
    dialect = DIALECTS[connections[alias].vendor]
    later = dialect.later.replace("%s", "delay")  # the row's own
    computed = (("available_at", later), ("created_at", dialect.now), ("deliveries", "0"))
    rows = [_row(message) for message in messages]
    statements = inserts(models.Message, rows, alias, computed, (("delay", "float8"),))
    # One statement is atomic by itself.
    alone = len(statements) == 1
    with nullcontext() if alone else transaction.atomic(using=alias, savepoint=False):
        for sql, values in statements:
            _execute(alias, sql, values)
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
        WHERE id IN (SELECT id FROM due){_in_haste(using)}
        RETURNING {", ".join(TAKE_COLUMNS)}"""
    values = [queue, limit, _uuid(mine, using), lease.total_seconds()]
    taken = [_claimed(row, mine) for row in _execute(using, sql, values)]
    return sorted(taken, key=lambda each: (-each.message.priority, each.id))


def in_haste(*, using: str) -> None:
    """Let the open transaction commit without waiting for the disk: it can be done once more."""
    if connections[using].vendor == "postgresql":
        _execute(using, HASTE, [])


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
        WHERE queue = %s AND claim = %s{_in_haste(using)}"""
    _execute(using, sql, [queue, _uuid(mine, using)])


def renew(tokens: Sequence[UUID], lease: timedelta, *, using: str) -> set[UUID]:
    """Push the leased copies that carry ``tokens`` another ``lease`` ahead; return those found.

    A copy that was claimed meanwhile (its lease had run out) is not ours any more.
    """
    if not tokens:
        return set()
    later = DIALECTS[connections[using].vendor].later
    sql = f"""UPDATE {TABLE} SET available_at = {later}
        WHERE token IN ({_holes(tokens)}) AND claim IS NULL RETURNING token"""
    values = [lease.total_seconds(), *(_uuid(token, using) for token in tokens)]
    return {_as_uuid(row[0]) for row in _execute(using, sql, values) if row[0] is not None}


def drop(token: UUID, *, using: str) -> None:
    """Delete the copy that carries ``token``, wherever it waits: its delivery has an outcome."""
    _execute(using, f"DELETE FROM {TABLE} WHERE token = %s", [_uuid(token, using)])


def received(rows: Sequence[int], queue: str, *, using: str) -> None:
    """Delete the rows that were kept until ``queue`` had received their messages."""
    these, numbers = _these(rows, using)
    _execute(using, f"DELETE FROM {TABLE} WHERE {these} AND queue = %s", [*numbers, queue])


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
    sql = f"""WITH RECURSIVE names (queue) AS (
            SELECT min(queue) FROM {TABLE}
            UNION ALL
            SELECT (SELECT min(queue) FROM {TABLE} WHERE queue > names.queue)
            FROM names WHERE names.queue IS NOT NULL
        ) SELECT queue FROM names WHERE queue IS NOT NULL"""
    return [name for (name,) in _execute(using, sql, [])]


def _on_claimed(sql: str, values: list[Any], claimed: Iterable[Claimed], using: str) -> int:
    """Run ``sql`` on the rows of each claim, fenced by the claim's id."""
    rows_of: dict[UUID, list[int]] = {}
    for each in claimed:
        rows_of.setdefault(each.claim, []).append(each.id)
    count = 0
    for mine, ids in rows_of.items():
        these, numbers = _these(ids, using)
        mine_only = f"{these} AND claim = %s{_in_haste(using)} RETURNING id"
        statement = sql.format(table=TABLE, mine=mine_only)
        count += len(_execute(using, statement, [*values, *numbers, _uuid(mine, using)]))
    return count


def _in_haste(using: str) -> str:
    """SQL by which a statement that commits by itself does not wait for the disk; else nothing.

    A claim, and what ends one, may be forgotten by a database server that dies: the row is then
    what it was, and is handed out once more, as after any claim that lapses. Waiting for the disk
    is 2 ms of the 2.4 that a claim takes, and as much of the time from a commit to its handler.
    """
    connection = connections[using]
    if connection.vendor != "postgresql" or not connection.get_autocommit():
        return ""
    return f" AND ({HASTE}) = 'off'"


def _these(ids: Sequence[int], using: str) -> tuple[str, list[Any]]:
    """Name rows, which two statements must lock in one order, or they may lock each other out."""
    these, numbers = among("id", ids, using)
    if connections[using].vendor == "postgresql":
        these = f"id IN (SELECT id FROM {TABLE} WHERE {these} ORDER BY id FOR UPDATE)"
    return these, numbers


def _holes(values: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(values))


def _execute(using: str, sql: str, values: Sequence[Any]) -> list[Any]:
    """Run one statement on ``using``; return the rows it hands back, if any."""
    with cursor(using) as opened:
        opened.execute(sql, values)
        return list(opened.fetchall()) if opened.description else []


def _row(message: Message) -> dict[str, Any]:
    """One message as a row, and in how many seconds it is due."""
    row = {column: getattr(message, column) for column in PUT_COLUMNS}
    return {**row, "delay": message.delay.total_seconds()}


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


__all__ = [
    "OUTBOX", "Claimed", "abandon", "claim", "drop", "extend", "hasten", "in_haste", "is_due",
    "next_due", "put", "queues", "received", "release", "renew", "settle",
]  # fmt: skip
