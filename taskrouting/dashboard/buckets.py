"""What happened in the last minutes or hours? The table of figures, read for one stretch of time.

Where nothing is said otherwise, the audit log is left out: it has every event once more, so quick
and so many that nothing else would be seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q, Sum
from django.utils import timezone

from taskrouting import conf
from taskrouting.audit.writer import NAME as AUDIT
from taskrouting.instruments.figures import MINUTE, QUARTER
from taskrouting.instruments.rates import ENDED, FAILED
from taskrouting.instruments.scale import percentile
from taskrouting.models import Figure
from taskrouting.routing.subscriptions import Subscription, registry
from taskrouting.transport import broker
from taskrouting.transport.store import OUTBOX

Measure = Figure.Measure

#: Seconds until a stretch that has just begun tells more than that it has just begun.
TOO_YOUNG = 15


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of time up to now, in pieces of ``span`` seconds."""

    name: str
    span: int
    pieces: int

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return timedelta(seconds=self.span * self.pieces)


RANGES = {
    each.name: each
    for each in (Range("15m", MINUTE, 15), Range("1h", MINUTE, 60), Range("24h", QUARTER, 96))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Whose figures are wanted; nothing: everybody's."""

    queue: str = ""
    subscription: str = ""

    def __bool__(self) -> bool:
        """Say whether anything is left out."""
        return bool(self.queue or self.subscription)

    @property
    def meant(self) -> list[Subscription]:
        """The subscriptions that are meant, as far as the code knows them."""
        if self.subscription:
            return [each for each in registry if each.name == self.subscription]
        return registry.on_queue(self.queue) if self.queue else list(registry)

    def condition(self) -> Q:
        """Choose the figures; messages wait in a queue, for all its subscriptions together."""
        if self.subscription:
            queues = [each.queue for each in self.meant]
            waiting = Q(measure__in=(Measure.BACKLOG, Measure.LOOKS), queue__in=queues)
            return Q(subscription=self.subscription) | waiting
        return Q(queue=self.queue) if self.queue else Q()


@dataclass(slots=True)
class Totals:
    """What was counted together."""

    counts: Counter[str] = field(default_factory=Counter)
    steps: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, measure: str, step: int, count: int) -> None:
        """Add one figure."""
        if measure in (Measure.LATENCY, Measure.DURATION):
            self.steps[measure][step] += count
        else:
            self.counts[measure] += count

    @property
    def handled(self) -> int:
        """How many deliveries were handled."""
        return self.counts[Measure.HANDLED]

    @property
    def failed(self) -> int:
        """How many attempts failed."""
        return sum(self.counts[each] for each in FAILED)

    @property
    def failure_rate(self) -> float | None:
        """Which share of the attempts that ended has failed; ``None``: none has ended."""
        ended = sum(self.counts[each] for each in ENDED)
        return self.failed / ended if ended else None

    def within(self, measure: str, share: float) -> float | None:
        """Return the seconds that ``share`` of them did not exceed."""
        return percentile(self.steps.get(measure, {}), share)

    @property
    def waiting(self) -> float | None:
        """How many messages waited, on average; ``None``: nobody has looked."""
        looks = self.counts[Measure.LOOKS]
        return self.counts[Measure.BACKLOG] / looks if looks else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What happened in one piece of a range."""

    since: datetime

    #: How much of it is over.
    seconds: float

    #: ``None`` where only some of the deliveries are looked at: who publishes has no queue.
    published: int | None
    deliveries: Totals
    waiting: float | None
    outbox: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What happened to the deliveries of one subscription."""

    queue: str
    subscription: str
    totals: Totals


@dataclass(slots=True)
class _Sorted:
    """The figures of one piece, by what they are about."""

    deliveries: Totals = field(default_factory=Totals)
    audit: Totals = field(default_factory=Totals)
    queues: defaultdict[str, Totals] = field(default_factory=lambda: defaultdict(Totals))


def pieces(wanted: Range, only: Filter) -> list[Piece]:
    """Read ``wanted``, one piece after another; what is not over yet counts as far as it is."""
    now = timezone.now()
    starts = _starts(wanted, now)
    found: defaultdict[datetime, _Sorted] = defaultdict(_Sorted)
    about_audit = ExpressionWrapper(Q(subscription=AUDIT), output_field=BooleanField())
    waits = Q(measure__in=(Measure.BACKLOG, Measure.LOOKS, Measure.RELAYED))
    rows = _figures(wanted, starts[0]).filter(only.condition()).annotate(audit=about_audit)
    by_time = ("since", "audit", "measure", "step")
    for since, audit, measure, step, count in _summed(rows.exclude(waits), *by_time):
        kind = found[since].audit if audit else found[since].deliveries
        kind.add(measure, step, count)
    for since, queue, measure, count in _summed(rows.filter(waits), "since", "queue", "measure"):
        found[since].queues[queue].add(measure, 0, count)
    return [_piece(since, min(wanted.span, (now - since).total_seconds()), found[since], only)
            for since in starts]  # fmt: skip


def lines(wanted: Range) -> list[Line]:
    """Read what each subscription did, also those that did nothing, and the audit log."""
    totals: dict[tuple[str, str], Totals] = {(each.queue, each.name): Totals() for each in registry}
    rows = _figures(wanted, _starts(wanted, timezone.now())[0]).exclude(subscription="")
    for queue, name, measure, step, count in _summed(
        rows, "queue", "subscription", "measure", "step"
    ):
        totals.setdefault((queue, name), Totals()).add(measure, step, count)
    return [
        Line(queue=queue, subscription=name, totals=found)
        for (queue, name), found in sorted(totals.items())
    ]


def newest() -> datetime | None:
    """When an attempt ended last, to the minute; ``None``: nobody remembers one."""
    rows = Figure.objects.using(conf.current().database).filter(measure__in=ENDED)
    times = (
        rows.filter(span=span).order_by("-since").values_list("since", flat=True).first()
        for span in (MINUTE, QUARTER)
    )
    return next((time for time in times if time is not None), None)


def publishing_is_counted() -> bool:
    """Say whether anybody knows how much is published: the relay, or else the audit log."""
    settings = conf.current()
    return not broker.capabilities(settings.broker_url).embedded or settings.audit.queue is not None


def _starts(wanted: Range, now: datetime) -> list[datetime]:
    """When each piece begins; the one that has only just begun is left for later."""
    last = datetime.fromtimestamp(now.timestamp() // wanted.span * wanted.span, tz=now.tzinfo)
    if (now - last).total_seconds() < TOO_YOUNG:
        last -= timedelta(seconds=wanted.span)
    first = last - timedelta(seconds=wanted.span * (wanted.pieces - 1))
    return [first + timedelta(seconds=wanted.span * number) for number in range(wanted.pieces)]


def _piece(since: datetime, seconds: float, found: _Sorted, only: Filter) -> Piece:
    outbox = found.queues.pop(OUTBOX, Totals())
    waiting = [each.waiting for each in found.queues.values() if each.waiting is not None]
    audit_only = bool(only) and [each.name for each in only.meant] == [AUDIT]
    return Piece(
        since=since,
        seconds=seconds,
        published=None if only else _published(outbox, found.audit),
        deliveries=found.audit if audit_only else found.deliveries,
        waiting=sum(waiting) if waiting else None,
        outbox=outbox.waiting,
    )


def _published(outbox: Totals, audit: Totals) -> int:
    """How much was published: on ``django://`` nothing is relayed, but recorded as a rule."""
    embedded = broker.capabilities(conf.current().broker_url).embedded
    return audit.handled if embedded else outbox.counts[Measure.RELAYED]


def _figures(wanted: Range, start: datetime) -> Any:
    rows = Figure.objects.using(conf.current().database)
    return rows.filter(span=wanted.span, since__gte=start)


def _summed(rows: Any, *names: str) -> Any:
    return rows.order_by().values_list(*names).annotate(together=Sum("count"))
