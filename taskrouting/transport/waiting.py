"""How much waits in the database for each queue, and for how long? Asked for all queues at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import connections
from django.db.models import Q
from django.db.models.functions import Now

from . import models
from .cursors import cursor
from .dialects import DIALECTS
from .store import HIGHEST_PRIORITY, OUTBOX, TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits for one queue."""

    #: Rows, whether due or not; counting stops where the caller said.
    count: int

    #: How long the one that has been due for longest has been so; ``None`` where none is.
    oldest: timedelta | None


def look(queues: Sequence[str], most: int, *, using: str) -> dict[str, Waiting]:
    """Look at each of ``queues``, and count no further than to ``most``.

    Of each queue that is ``most`` entries of the index, and one step into it for each priority.
    """
    if not queues:
        return {}
    dialect = DIALECTS[connections[using].vendor]
    names = ", ".join(["(%s)"] * len(queues))
    levels = ", ".join(f"({level})" for level in range(HIGHEST_PRIORITY + 1))
    until = dialect.until.format("min(firsts.due)")
    sql = f"""SELECT names.column1,
        (SELECT count(*) FROM (
            SELECT 1 FROM {TABLE} WHERE queue = names.column1 LIMIT {int(most)}
        ) AS counted),
        (SELECT {until} FROM (
            SELECT (
                SELECT min(available_at) FROM {TABLE}
                WHERE queue = names.column1 AND priority = levels.column1
                AND available_at <= {dialect.now}
            ) AS due FROM (VALUES {levels}) AS levels
        ) AS firsts)
        FROM (VALUES {names}) AS names"""
    with cursor(using) as opened:
        opened.execute(sql, list(queues))
        return {name: _waiting(count, until) for name, count, until in opened.fetchall()}


def oldest_due(*, using: str) -> timedelta | None:
    """Return the age of the oldest event in the outbox that is due; ``None`` where none is.

    What is to leave later does not count; what a relay has claimed now is on its way, and does.
    """
    outbox = models.Message.objects.using(using).filter(queue=OUTBOX)
    due = outbox.filter(Q(available_at__lte=Now()) | Q(claim__isnull=False)).order_by("id")
    times = due.annotate(now=Now()).values_list("now", "created_at").first()
    return times[0] - times[1] if times else None


def _waiting(count: int, until: float | None) -> Waiting:
    oldest = None if until is None else timedelta(seconds=max(-float(until), 0.0))
    return Waiting(count=count, oldest=oldest)
