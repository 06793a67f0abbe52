"""Which dead letters may be forgotten? Those that somebody has resolved, and sweeps that ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from taskrouting import conf

from .models import DeadLetter, Sweep

#: Rows looked at by one step, so that nobody waits long for a lock.
STEP = 500


@dataclass(frozen=True, slots=True)
class Step:
    """One step through a table: how many rows it deleted, and what share of the way is behind."""

    deleted: int
    done: float


def prune(before: datetime) -> Iterator[Step]:
    """Delete dead letters that were resolved ``before`` that, step by step. Open ones stay."""
    letters = DeadLetter.objects.using(conf.current().database)
    old = letters.filter(resolved_at__lt=before)
    return steps(letters, "created_at", before, lambda keys: old.filter(pk__in=keys).delete()[0])


def prune_sweeps(before: datetime) -> Iterator[Step]:
    """Delete sweeps that ended ``before`` that, step by step. Running ones stay, however old."""
    sweeps = Sweep.objects.using(conf.current().database)
    ended = sweeps.exclude(state=Sweep.State.RUNNING).filter(finished_at__lt=before)
    return steps(sweeps, "started_at", before, lambda keys: ended.filter(pk__in=keys).delete()[0])


def steps(
    rows: QuerySet[Any], born: str, before: datetime, delete: Callable[[Sequence[int]], int]
) -> Iterator[Step]:
    """Walk through ``rows``, oldest first, and let ``delete`` choose among the keys of each step.

    It ends at the first step whose rows are all younger than ``before``, by their column ``born``:
    behind it there is nothing old, and however much is there need not be looked at.
    """
    last, oldest = 0, before
    while found := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", born)[:STEP]):
        times = [at for _, at in found]
        oldest = min(oldest, *times)
        if min(times) >= before:
            return
        last = found[-1][0]
        way = (before - oldest).total_seconds()
        yield Step(
            deleted=delete([key for key, _ in found]),
            done=min((max(times) - oldest).total_seconds() / way, 1.0),
        )
