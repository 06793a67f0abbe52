"""How far is the installation from its limits? Asked in few bounded queries, by indexes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.db.models.functions import Now

from taskrouting import conf
from taskrouting.audit.models import AuditLog
from taskrouting.conf import AlertSettings
from taskrouting.consuming import pauses
from taskrouting.consuming.models import Delivery
from taskrouting.dead_letters.models import DeadLetter
from taskrouting.transport import waiting

from . import alarms

#: What the failure rate is the rate of: deliveries begun within this time, the newest of them,
#: and at least so many; one failure of one says nothing.
WINDOW, MOST, FEWEST = timedelta(minutes=5), 1_000, 10

#: Rows that are looked at for a queue at most; more have come than any queue is silent in.
NEWEST = 50_000


@dataclass(frozen=True, slots=True)
class Measure:
    """One value beside its limit."""

    kind: str
    subject: str
    value: float
    threshold: float

    @property
    def passed(self) -> bool:
        """Whether it is time to tell somebody."""
        return self.value >= self.threshold


def measures(limits: AlertSettings) -> Iterator[Measure]:
    """Measure everything that has a limit."""
    if limits.outbox_age is not None:
        yield from _outboxes(limits.outbox_age)
    if limits.failure_rate is not None:
        yield Measure("failure_rate", "", failure_rate(), limits.failure_rate)
    if limits.dead_letters is not None:
        open_ones = _dead_letters(limits.dead_letters)
        yield Measure("dead_letters", "", open_ones, limits.dead_letters)
    resting = pauses.paused() if limits.silent_queue else {}
    for queue, longest in limits.silent_queue.items():
        if queue in resting:
            continue  # an operator wants it so
        silent = silence(queue)
        yield Measure("silent_queue", queue, silent.total_seconds(), longest.total_seconds())


def failure_rate() -> float:
    """The share of the newest deliveries with a failed attempt, or dead; 0 where there are few.

    Read by primary key, newest first: no more than ``MOST`` rows, however large the ledger is.
    """
    newest = _of(Delivery).order_by("-id").annotate(now=Now())
    rows = newest.values_list("now", "received_at", "state", "attempts")[:MOST]
    recent = [row for row in rows if row[0] - row[1] <= WINDOW]
    failed = sum(_failed(state, attempts) for _, _, state, attempts in recent)
    return failed / len(recent) if len(recent) >= FEWEST else 0.0


def silence(queue: str) -> timedelta:
    """For how long nothing has come to ``queue``, as far as anybody has watched it.

    Only rows that came since the last look are read.
    """
    audited = queue == conf.current().audit.queue
    rows = _of(AuditLog if audited else Delivery).order_by("-id")
    newest = rows.values_list("id", flat=True).first() or 0
    before = alarms.mark_of("silent_queue", queue)
    # What came before anybody watched is nobody's news: silence begins with the first look.
    since = max(newest if before is None else before, newest - NEWEST)
    fresh = rows.filter(id__gt=since, id__lte=newest)
    came = fresh if audited else fresh.filter(queue=queue)
    return alarms.heard("silent_queue", queue, mark=newest, anything=came.exists())


def _outboxes(longest: timedelta) -> Iterator[Measure]:
    settings = conf.current()
    for alias in settings.databases:
        try:
            age = waiting.oldest_due(using=alias) or timedelta(0)
        except (DatabaseError, InterfaceError):
            if alias == settings.database:
                raise
            continue  # its own database is away, and with it what would be published there
        yield Measure("outbox_age", alias, age.total_seconds(), longest.total_seconds())


def _dead_letters(enough: int) -> int:
    """Count those that are open, but no more than are enough."""
    return int(_of(DeadLetter).filter(resolved_at=None).order_by()[:enough].count())


def _failed(state: str, attempts: int) -> bool:
    """Say whether an attempt has failed: any that counts, but the one that ended it well."""
    ended_well = state in (Delivery.State.HANDLED, Delivery.State.DISCARDED)
    return state == Delivery.State.DEAD or attempts > ended_well


def _of(model: Any) -> Any:
    return model.objects.using(conf.current().database)
