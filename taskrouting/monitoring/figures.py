"""What do the gauges show? What ``health`` sees, the same on every host, kept for some seconds.

However often somebody scrapes, and from however many places: one look at a time and process, and
none before the last one is ``FRESH`` seconds old.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

from django.db import DatabaseError, InterfaceError

from taskrouting import conf, health
from taskrouting.health import Count, Health
from taskrouting.instruments.metrics import Metric
from taskrouting.models import AuditLog

logger = logging.getLogger("taskrouting.monitoring")

#: Seconds for which one look is good enough for everybody.
FRESH = 10.0

GAUGES = {
    "taskrouting_database_up": Metric("gauge", "1 if the central database answers."),
    "taskrouting_broker_up": Metric("gauge", "1 if the broker can be reached."),
    "taskrouting_broker_takes_messages": Metric(
        "gauge", "0 if the broker is short of memory or disk space."
    ),
    "taskrouting_outbox_pending": Metric(
        "gauge", "Events that wait to leave a database; 10,000 stands for more.", ("database",)
    ),
    "taskrouting_outbox_oldest_age_seconds": Metric(
        "gauge", "Age of the oldest event that should have left.", ("database",)
    ),
    "taskrouting_queue_messages": Metric(
        "gauge",
        "Messages of a queue, on the broker or in the database, where 10,000 stands for more.",
        ("queue", "place"),
    ),
    "taskrouting_deliveries_open": Metric(
        "gauge", "Deliveries that run, wait or are dead; 10,000 stands for more.", ("state",)
    ),
    "taskrouting_dead_letters": Metric(
        "gauge", "Dead letters that nobody has resolved; 10,000 stands for more.", ("reason",)
    ),
    "taskrouting_workers_up": Metric("gauge", "Worker processes on all hosts that are alive."),
    "taskrouting_audit_lag_seconds": Metric(
        "gauge", "How long the newest row of the audit log was on its way."
    ),
}

#: One value of a gauge: its name, its labels' values, and itself.
Sample = tuple[str, tuple[str, ...], float]

_looking = threading.Lock()
_seen: Health | None = None
_samples: list[Sample] = []
_looked_at = float("-inf")


def samples() -> list[Sample]:
    """Return every gauge's values as they were at most ``FRESH`` seconds ago.

    Who comes while somebody looks gets what was seen before, unless nothing was.
    """
    _look()
    return _samples


def seen() -> Health | None:
    """Return what the last look has seen; ``None`` where the database did not answer."""
    _look()
    return _seen


def forget() -> None:
    """Look anew when next asked."""
    global _looked_at
    _looked_at = float("-inf")


def _look() -> None:
    global _seen, _samples, _looked_at
    if time.monotonic() - _looked_at < FRESH or not _looking.acquire(blocking=not _samples):
        return
    try:
        if time.monotonic() - _looked_at >= FRESH:
            _seen, lag = _asked()
            _samples = list(_gauges(_seen, lag))
            _looked_at = time.monotonic()
    finally:
        _looking.release()


def _asked() -> tuple[Health | None, timedelta | None]:
    try:
        return health.look(), _audit_lag()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("The figures could not be read: %s", error)
        return None, None


def _audit_lag() -> timedelta | None:
    rows = AuditLog.objects.using(conf.current().database).order_by("-id")
    newest = rows.values_list("recorded_at", "occurred_at").first()
    return max(newest[0] - newest[1], timedelta(0)) if newest else None


def _gauges(seen: Health | None, lag: timedelta | None) -> Iterator[Sample]:
    yield "taskrouting_database_up", (), float(seen is not None)
    if seen is None:
        return
    yield "taskrouting_broker_up", (), float(seen.broker.reachable)
    yield "taskrouting_broker_takes_messages", (), float(seen.broker.takes_messages)
    yield "taskrouting_workers_up", (), float(sum(worker.alive for worker in seen.workers))
    if lag is not None:
        yield "taskrouting_audit_lag_seconds", (), lag.total_seconds()
    yield from _outboxes(seen)
    yield from _queues(seen)
    yield from _counts("taskrouting_deliveries_open", seen.deliveries)
    yield from _counts("taskrouting_dead_letters", seen.dead_letters)


def _outboxes(seen: Health) -> Iterator[Sample]:
    for outbox in seen.outboxes:
        if outbox.waiting is not None:
            oldest = outbox.oldest or timedelta(0)
            labels = (outbox.database,)
            yield "taskrouting_outbox_pending", labels, float(outbox.waiting.number)
            yield "taskrouting_outbox_oldest_age_seconds", labels, oldest.total_seconds()


def _queues(seen: Health) -> Iterator[Sample]:
    for queue in seen.queues:
        waiting = float(queue.in_database.number)
        yield "taskrouting_queue_messages", (queue.name, "database"), waiting
        if queue.on_broker is not None:
            yield "taskrouting_queue_messages", (queue.name, "broker"), float(queue.on_broker)


def _counts(name: str, counts: dict[str, Count]) -> Iterator[Sample]:
    for label, count in counts.items():
        yield name, (label,), float(count.number)
