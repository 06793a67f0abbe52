"""Which open dead letters died of the same? Grouped by queue, subscription and cause.

Groups are found by hopping along their index, one hop for each, and the letters of one are counted
no further than ``MOST_COUNTED``: whoever looks has thousands of them, and wants the page now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections
from django.db.models import QuerySet
from django.db.models.functions import Right

from taskrouting import conf

from .causes import cause_of
from .models import DeadLetter

#: Groups that are shown at once, and letters that are counted of each.
MOST_GROUPS = 100
MOST_COUNTED = 10_000

#: Characters at the end of an error that are read: its last line says what was wrong.
END_OF_ERROR = 400

#: Letters whose cause is noted in one transaction.
STEP = 100

#: The first letter of each group, then its last one, and how many there are. A hop goes to the next
#: cause, or else to the next subscription, or else to the next queue.
_GROUPS = """
WITH RECURSIVE firsts (id, number) AS (
    SELECT (
        SELECT id FROM taskrouting_deadletter WHERE resolved_at IS NULL
        ORDER BY queue, subscription, cause, id LIMIT 1
    ), 1
    UNION ALL
    SELECT coalesce((
        SELECT other.id FROM taskrouting_deadletter AS other WHERE other.resolved_at IS NULL
        AND other.queue = known.queue AND other.subscription = known.subscription
        AND other.cause > known.cause
        ORDER BY other.queue, other.subscription, other.cause, other.id LIMIT 1
    ), (
        SELECT other.id FROM taskrouting_deadletter AS other WHERE other.resolved_at IS NULL
        AND other.queue = known.queue AND other.subscription > known.subscription
        ORDER BY other.queue, other.subscription, other.cause, other.id LIMIT 1
    ), (
        SELECT other.id FROM taskrouting_deadletter AS other WHERE other.resolved_at IS NULL
        AND other.queue > known.queue
        ORDER BY other.queue, other.subscription, other.cause, other.id LIMIT 1
    )), firsts.number + 1
    FROM firsts JOIN taskrouting_deadletter AS known ON known.id = firsts.id
    WHERE firsts.number <= %s
)
SELECT first.id,
    (
        SELECT alike.id FROM taskrouting_deadletter AS alike
        WHERE alike.resolved_at IS NULL AND alike.queue = first.queue
        AND alike.subscription = first.subscription AND alike.cause = first.cause
        ORDER BY alike.queue DESC, alike.subscription DESC, alike.cause DESC, alike.id DESC LIMIT 1
    ),
    (
        SELECT count(*) FROM (
            SELECT 1 FROM taskrouting_deadletter AS alike
            WHERE alike.resolved_at IS NULL AND alike.queue = first.queue
            AND alike.subscription = first.subscription AND alike.cause = first.cause
            LIMIT %s
        ) AS counted
    )
FROM firsts JOIN taskrouting_deadletter AS first ON first.id = firsts.id
"""


@dataclass(frozen=True, slots=True)
class Group:
    """Open dead letters of one kind; ``more`` where counting stopped."""

    queue: str
    subscription: str
    cause: str
    count: int
    more: bool
    first_seen: datetime
    example: DeadLetter

    @property
    def last_seen(self) -> datetime:
        """The example is the newest."""
        return self.example.created_at


def open_groups() -> tuple[list[Group], bool]:
    """Return the groups, largest first, and whether there are more than are shown."""
    with connections[_database()].cursor() as cursor:
        cursor.execute(_GROUPS, [MOST_GROUPS, MOST_COUNTED + 1])
        found = cursor.fetchall()
    shown = found[:MOST_GROUPS]
    letters = _letters({key for first, last, _ in shown for key in (first, last)})
    groups = [
        _group(letters[first], letters[last], count)
        for first, last, count in shown
        if first in letters and last in letters  # pruned in this instant
    ]
    groups.sort(key=lambda group: (-group.count, -group.example.pk))
    return groups, len(found) > len(shown)


def name_causes() -> Iterator[int]:
    """Note the cause of open letters that have none, step by step; yield how many each step had.

    A release that knew no causes has kept them, before this one or, while it was replaced, beside.
    """
    position = 0
    while letters := list(_unnamed(position)[:STEP]):
        for letter in letters:
            letter.cause = cause_of(letter.reason, letter.error)
        _open().bulk_update(letters, ["cause"])
        position = letters[-1].pk
        yield len(letters)


def _unnamed(position: int) -> QuerySet[DeadLetter]:
    letters = _open().filter(cause="", pk__gt=position)
    return letters.only("reason", "error", "cause").order_by("pk")


def _group(first: DeadLetter, last: DeadLetter, count: int) -> Group:
    return Group(
        queue=first.queue,
        subscription=first.subscription,
        cause=first.cause,
        count=min(count, MOST_COUNTED),
        more=count > MOST_COUNTED,
        first_seen=first.created_at,
        example=last,
    )


def _letters(keys: set[Any]) -> dict[int, DeadLetter]:
    letters = DeadLetter.objects.using(_database()).filter(pk__in=keys)
    light = letters.defer("body", "headers", "properties", "error")
    found: dict[int, Any] = light.annotate(end_of_error=Right("error", END_OF_ERROR)).in_bulk()
    return found


def _open() -> QuerySet[DeadLetter]:
    return DeadLetter.objects.using(_database()).filter(resolved_at=None)


def _database() -> str:
    return conf.current().database
