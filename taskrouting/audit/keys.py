"""Under which routing keys were events published lately, and how often? As the record has it.

Nothing here reads the table: its index on (routing key, number) is walked.

==================  =============================================================================
which keys          hopping from key to key: one step into the index for each, however many rows
                    it has; from the words before the pattern's first wildcard on
since when          rows are numbered as they are recorded, so a number stands for an instant: the
                    lowest among the first rows by the time at which they occurred
how often           counting along the index from the newest row back to that number, no further
                    than to ``MOST_ROWS``; then the age of the last row tells how often
==================  =============================================================================
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connections
from django.db.models.functions import Now

from taskrouting import conf, topics

from .models import AuditLog

#: How far back it is looked.
WITHIN = timedelta(days=7)

#: Keys that are looked at, and of those that match, keys that are counted.
MOST_KEYS, MOST_COUNTED = 1000, 100

#: Rows of one key that are counted, and of all keys together.
MOST_ROWS, ALL_ROWS = 1000, 20_000

#: Keys that one statement looks at, and seconds after which no further one is sent.
STRIDE, PATIENCE = 500, 1.0

#: Rows among which the lowest number is looked for: a few may have been recorded late.
FIRST = 100

TABLE = AuditLog._meta.db_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A routing key under which events were published."""

    routing_key: str

    #: How many; ``more`` where counting stopped.
    count: int
    more: bool

    an_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Catch:
    """What a pattern would have caught."""

    pattern: str

    #: Since when it was looked; ``None`` where nothing is recorded since then.
    since: datetime | None
    keys: tuple[Key, ...] = ()

    #: How many routing keys were looked at; ``cut`` where there may be more that match.
    looked_at: int = 0
    cut: bool = False

    @property
    def an_hour(self) -> float:
        """How many events an hour that is."""
        return sum(key.an_hour for key in self.keys)


@dataclass(frozen=True, slots=True)
class _Window:
    """From which row on it is looked: since when, and how many hours ago that was."""

    number: int
    since: datetime
    hours: float


def caught(pattern: str) -> Catch:
    """Say which routing keys of the last days ``pattern`` matches, and how often each came.

    Raises InvalidPattern for a pattern that cannot be used.
    """
    topics.validate_pattern(pattern)
    window = _window()
    if window is None:
        return Catch(pattern=pattern, since=None)
    looked_at, complete, matching = 0, False, []
    for key in _keys(_beginning(pattern), MOST_KEYS):
        if key is None:
            complete = True
            break
        looked_at += 1
        if topics.matches(pattern, key):
            matching.append(key)
    return Catch(
        pattern=pattern,
        since=window.since,
        keys=tuple(key for key in _counted(matching[:MOST_COUNTED], window) if key.count),
        looked_at=looked_at,
        cut=not complete or len(matching) > MOST_COUNTED,
    )


def recorded(most: int) -> list[str] | None:
    """Return every routing key in the audit log; ``None`` where there are more than ``most``."""
    found: list[str] = []
    for key in _keys("", most + 1):
        if key is None:
            return found if len(found) <= most else None
        found.append(key)
    return None


def describe(found: Catch) -> dict[str, Any]:
    """Say it in values that JSON has."""
    return {
        "pattern": found.pattern,
        "since": found.since.isoformat() if found.since else None,
        "an_hour": round(found.an_hour, 3),
        "routing_keys": [
            {
                "routing_key": key.routing_key,
                "count": key.count,
                "more": key.more,
                "an_hour": round(key.an_hour, 3),
            }
            for key in found.keys
        ],
        "looked_at": found.looked_at,
        "cut": found.cut,
    }


def _window() -> _Window | None:
    recent = AuditLog.objects.using(_database()).filter(occurred_at__gte=Now() - WITHIN)
    first = recent.annotate(now=Now()).order_by("occurred_at")
    rows = list(first.values_list("pk", "occurred_at", "now")[:FIRST])
    if not rows:
        return None
    _, since, now = rows[0]
    # Of what began only just now nobody knows yet how often it comes in an hour.
    hours = max((now - since) / timedelta(hours=1), 1.0)
    return _Window(min(row[0] for row in rows), since, hours)


def _beginning(pattern: str) -> str:
    """Return the words before the first wildcard: no key that matches is sorted before them."""
    words: list[str] = []
    for word in topics.words(pattern):
        if word in ("*", "#"):
            break
        words.append(word)
    return ".".join(words)


def _keys(first: str, most: int) -> Iterator[str | None]:
    """Yield routing keys in their order from ``first`` on; ``None`` after the last."""
    began, seen = time.monotonic(), 0
    after, orequal = first, "="
    while seen < most and time.monotonic() - began < PATIENCE:
        found = _stride(after, orequal)
        yield from found
        if len(found) < STRIDE:
            yield None
            return
        seen += len(found)
        after, orequal = found[-1], ""


def _stride(after: str, orequal: str) -> list[str]:
    """Hop along the index: the next keys, each by one step."""
    sql = f"""WITH RECURSIVE hops (routing_key, hop) AS (
            SELECT (SELECT min(routing_key) FROM {TABLE} WHERE routing_key >{orequal} %s), 1
            UNION ALL
            SELECT (SELECT min(routing_key) FROM {TABLE} WHERE routing_key > hops.routing_key),
                hop + 1
            FROM hops WHERE hops.routing_key IS NOT NULL AND hop < {STRIDE}
        ) SELECT routing_key FROM hops WHERE routing_key IS NOT NULL ORDER BY hop"""
    return [key for (key,) in _execute(sql, [after])]


def _counted(keys: Sequence[str], window: _Window) -> Iterator[Key]:
    """Count the rows of each key since the window began."""
    if not keys:
        return
    most = min(MOST_ROWS, ALL_ROWS // len(keys))
    newest = f"""SELECT id FROM {TABLE} WHERE routing_key = names.column1
        AND id >= {window.number} ORDER BY id DESC LIMIT {most}"""
    counts = _of_each(keys, f"SELECT count(*) FROM ({newest}) AS counted")
    full = [key for key, count in counts.items() if count >= most]
    hours = _hours(_of_each(full, f"SELECT min(id) FROM ({newest}) AS counted"))
    for key in keys:
        an_hour = counts[key] / hours.get(key, window.hours)
        yield Key(routing_key=key, count=counts[key], more=key in hours, an_hour=an_hour)


def _of_each(keys: Sequence[str], question: str) -> dict[str, int]:
    """Ask for one number of each key, which ``question`` calls ``names.column1``."""
    if not keys:
        return {}
    names = ", ".join(["(%s)"] * len(keys))
    return dict(
        _execute(f"SELECT names.column1, ({question}) FROM (VALUES {names}) AS names", keys)
    )


def _hours(rows: Mapping[str, int]) -> dict[str, float]:
    """How many hours ago the event of each key's row occurred; at least a second."""
    found = AuditLog.objects.using(_database()).filter(pk__in=rows.values()).annotate(now=Now())
    ages = {pk: now - at for pk, at, now in found.values_list("pk", "occurred_at", "now")}
    second = timedelta(seconds=1)
    # A row may have been pruned just now.
    known = ((key, ages[pk]) for key, pk in rows.items() if pk in ages)
    return {key: max(age, second) / timedelta(hours=1) for key, age in known}


def _execute(sql: str, values: Sequence[Any]) -> list[Any]:
    with connections[_database()].cursor() as opened:
        opened.execute(sql, values)
        return list(opened.fetchall())


def _database() -> str:
    return conf.current().database
