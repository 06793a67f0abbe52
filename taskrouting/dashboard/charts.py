"""Which lines does the dashboard draw, and why is there nothing to draw?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from taskrouting.health import WorkerHealth
from taskrouting.models import Figure
from taskrouting.routing import topology

from . import buckets
from .buckets import Filter, Piece
from .parts import Heard

Measure = Figure.Measure
Value = float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a chart."""

    name: str
    label: str

    #: One for each piece of the range; ``None`` where nothing is known.
    values: Sequence[Value]

    @property
    def last(self) -> Value:
        """The newest value that is known, if one of the two last ones is."""
        return next((each for each in reversed(self.values[-2:]) if each is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Several lines over one range of time."""

    name: str
    title: str

    #: ``per second``, ``seconds`` or ``messages``.
    unit: str
    series: Sequence[Series]

    #: Why there is nothing to draw; empty if there is.
    why_empty: str = ""


def throughput(pieces: Sequence[Piece], why: str) -> Chart:
    """Draw what was published, handled and failed in a second."""
    drawn = [
        _series("handled", _("handled"), pieces, lambda each: _rate(each, each.deliveries.handled)),
        _series("failed", _("failed"), pieces, lambda each: _rate(each, each.deliveries.failed)),
    ]
    if any(each.published is not None for each in pieces) and buckets.publishing_is_counted():
        drawn.insert(
            0,
            _series(
                "published", _("published"), pieces, lambda each: _rate(each, each.published or 0)
            ),
        )
    nothing = not any(value for series in drawn for value in series.values)
    title = _("Throughput")
    return Chart(
        name="throughput",
        title=title,
        unit="per second",
        series=drawn,
        why_empty=why if nothing else "",
    )


def latency(pieces: Sequence[Piece], why: str) -> Chart:
    """Draw how long after their events deliveries were handled."""

    def within(share: float) -> Callable[[Piece], Value]:
        return lambda each: each.deliveries.within(Measure.LATENCY, share)

    drawn = [
        _series("p50", _("half within"), pieces, within(0.5)),
        _series("p95", _("95 % within"), pieces, within(0.95)),
    ]
    empty = why if _all_unknown(drawn) else ""
    return Chart(name="latency", title=_("Latency"), unit="seconds", series=drawn, why_empty=empty)


def backlog(pieces: Sequence[Piece], why: str, whole: bool) -> Chart:
    """Draw how much waited in the queues, and in the outboxes if the ``whole`` is looked at."""
    drawn = [_series("waiting", _("in queues"), pieces, lambda each: each.waiting)]
    if whole:
        drawn.append(_series("outbox", _("in the outbox"), pieces, lambda each: each.outbox))
    empty = why if _all_unknown(drawn) else ""
    return Chart(name="backlog", title=_("Backlog"), unit="messages", series=drawn, why_empty=empty)


def why_nothing_was_handled(workers: Sequence[WorkerHealth], only: Filter) -> str:
    """Say why nobody has handled anything in the range that is looked at."""
    if unknown := _unknown(only):
        return unknown
    if any(each.alive for each in workers):
        return _("Workers are there, but nothing came for them in this time.")
    silent = min((each.silent_for for each in workers), default=None)
    seen = timezone.now() - silent if silent is not None else buckets.newest()
    if seen is None:
        return _("No worker has been seen yet. Start one with run_router_worker.")
    return _("No worker has been seen since %(when)s.") % {"when": _when(seen)}


def why_nobody_looked(pulses: Sequence[Heard], only: Filter) -> str:
    """Say why nobody knows what waited in the range that is looked at."""
    if unknown := _unknown(only):
        return unknown
    age = min((each.age for each in pulses if each.name.startswith("relay ")), default=None)
    if age is None:
        return _("The process with the relay counts what waits, and none has been seen yet.")
    if age < timedelta(minutes=1):
        return _("The process with the relay has not counted what waits yet.")
    when = {"when": _when(timezone.now() - age)}
    return _("No relay has been seen since %(when)s, and it counts what waits.") % when


def _unknown(only: Filter) -> str:
    if only.subscription and not only.meant:
        return _("The code has no subscription %(name)s.") % {"name": only.subscription}
    if only.queue and only.queue not in {each.name for each in topology.current().queues}:
        return _("The code declares no queue %(name)s.") % {"name": only.queue}
    return ""


def _when(instant: datetime) -> str:
    local = timezone.localtime(instant) if timezone.is_aware(instant) else instant
    return local.strftime("%Y-%m-%d %H:%M")


def _all_unknown(drawn: Sequence[Series]) -> bool:
    return all(value is None for series in drawn for value in series.values)


def _rate(piece: Piece, count: int) -> float:
    return count / piece.seconds


def _series(
    name: str, label: str, pieces: Sequence[Piece], value: Callable[[Piece], Value]
) -> Series:
    return Series(name=name, label=label, values=[value(each) for each in pieces])
