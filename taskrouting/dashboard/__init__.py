"""What does an operator see at a glance? The parts, the figures and the charts, read all together.

Nothing here asks the broker, and nothing counts further than ``health.MOST``: the page is looked at
every few seconds, by several people, when something is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from taskrouting import conf, health
from taskrouting.consuming import pauses
from taskrouting.health import Count, OutboxHealth
from taskrouting.models import AuditLog, Figure

from . import buckets, charts, parts
from .buckets import RANGES, Filter, Line, Piece, Range, Totals
from .charts import Chart, Series
from .parts import Part, State

__all__ = ["RANGES", "Chart", "Dashboard", "Figures", "Filter", "Line", "Part", "Range", "Series",
           "State", "Totals", "as_json", "look"]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures that matter most. A rate is per second, now and over the whole range."""

    outbox: Count

    #: Age of the oldest event that waits in an outbox and is due.
    oldest: timedelta | None

    #: ``None``: nobody counts what is published here.
    published: float | None
    published_average: float | None
    handled: float
    handled_average: float
    failed: int

    #: The share of attempts that failed; ``None``: none has ended.
    failure_rate: float | None

    #: How long after their events half, and 95 of a hundred, were handled, in seconds.
    latency_p50: float | None
    latency_p95: float | None
    dead_letters: Count

    #: How long after it occurred the newest event of the audit log was recorded.
    audit_lag: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """Everything that the page shows, for one range and one filter."""

    range: Range
    only: Filter
    parts: Sequence[Part]
    figures: Figures
    charts: Sequence[Chart]
    pieces: Sequence[Piece]
    lines: Sequence[Line]


def look(wanted: Range = RANGES["15m"], only: Filter = Filter()) -> Dashboard:  # noqa: B008
    """Read everything once.

    Raises django.db.DatabaseError when the central database cannot be asked.
    """
    pulses, outboxes, workers = parts.heard(), health.outboxes(), health.workers()
    last, lag = _audit()
    resting = pauses.paused()
    read = buckets.pieces(wanted, only)
    why = charts.why_nothing_was_handled(workers, only)
    return Dashboard(
        range=wanted,
        only=only,
        parts=[
            parts.broker_part(pulses.values()),
            parts.relay_part(pulses, outboxes),
            parts.workers_part(workers, pulses.values(), resting),
            parts.audit_part(workers, last, lag, resting),
        ],
        figures=_figures(read, outboxes, lag),
        charts=[
            charts.throughput(read, why),
            charts.latency(read, why),
            charts.backlog(
                read, charts.why_nobody_looked(list(pulses.values()), only), whole=not only
            ),
        ],
        pieces=read,
        lines=buckets.lines(wanted),
    )


def as_json(seen: Dashboard) -> dict[str, Any]:
    """Say the parts, the figures and the subscriptions in values that JSON has."""
    plain: dict[str, Any] = health.as_plain(
        {
            "range": seen.range.name,
            "parts": [asdict(each) for each in seen.parts],
            "figures": asdict(seen.figures),
            "subscriptions": [_line(each, seen.range) for each in seen.lines],
        }
    )
    return plain


def _line(line: Line, wanted: Range) -> dict[str, Any]:
    totals = line.totals
    return {
        "queue": line.queue,
        "subscription": line.subscription,
        "handled": totals.handled,
        "failed": totals.failed,
        "failure_rate": totals.failure_rate,
        "handled_per_second": totals.handled / wanted.length.total_seconds(),
        "latency_p50": totals.within(Figure.Measure.LATENCY, 0.5),
        "latency_p95": totals.within(Figure.Measure.LATENCY, 0.95),
        "duration_p50": totals.within(Figure.Measure.DURATION, 0.5),
        "duration_p95": totals.within(Figure.Measure.DURATION, 0.95),
    }


def _figures(
    read: Sequence[Piece], outboxes: Sequence[OutboxHealth], lag: timedelta | None
) -> Figures:
    counts = [each.waiting for each in outboxes if each.waiting is not None]
    total = Totals()
    for piece in read:
        total.counts.update(piece.deliveries.counts)
        for measure, steps in piece.deliveries.steps.items():
            total.steps[measure].update(steps)
    published = _sum(read) if buckets.publishing_is_counted() else None
    seconds = sum(each.seconds for each in read)
    now = read[-1]
    return Figures(
        outbox=Count(sum(each.number for each in counts), any(each.more for each in counts)),
        oldest=max((each.oldest for each in outboxes if each.oldest is not None), default=None),
        published=None if published is None else (now.published or 0) / now.seconds,
        published_average=None if published is None else published / seconds,
        handled=now.deliveries.handled / now.seconds,
        handled_average=total.handled / seconds,
        failed=total.failed,
        failure_rate=total.failure_rate,
        latency_p50=total.within(Figure.Measure.LATENCY, 0.5),
        latency_p95=total.within(Figure.Measure.LATENCY, 0.95),
        dead_letters=health.open_dead_letters(),
        audit_lag=lag,
    )


def _sum(read: Sequence[Piece]) -> int | None:
    known = [each.published for each in read if each.published is not None]
    return sum(known) if known else None


def _audit() -> tuple[timedelta | None, timedelta | None]:
    """How long ago the audit log's newest entry was recorded, and how late."""
    rows = AuditLog.objects.using(conf.current().database).annotate(now=Now()).order_by("-id")
    newest = rows.values_list("now", "recorded_at", "occurred_at").first()
    if newest is None:
        return None, None
    now, recorded, occurred = newest
    return now - recorded, max(recorded - occurred, timedelta(0))
