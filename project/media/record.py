"""What does the record say about a video: its events, where each went, and what came of it?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from taskrouting import conf
from taskrouting.models import AuditLog, Delivery
from taskrouting.routing import topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one delivery, in words."""

    state: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One queue that an event was routed to, and what came of it there."""

    pattern: str
    queue: str
    outcomes: list[Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event on record."""

    event: AuditLog
    cause: AuditLog | None
    stops: list[Stop]


def entries(events: Iterable[AuditLog]) -> list[Entry]:
    """Tell the story of ``events``, the oldest first."""
    in_order = sorted(events, key=lambda event: (event.occurred_at, event.pk))
    by_id = {event.event_id: event for event in in_order}
    deliveries = list(Delivery.objects.filter(event_id__in=by_id).order_by("id"))
    return [
        Entry(
            event=event,
            cause=by_id.get(event.causation_id),
            stops=_stops(event, [each for each in deliveries if each.event_id == event.event_id]),
        )
        for event in in_order
    ]


def about(subject: str) -> list[Entry]:
    """Tell the story of ``subject``."""
    return entries(AuditLog.objects.filter(subject=subject).exclude(subject=""))


def _stops(event: AuditLog, deliveries: list[Delivery]) -> list[Stop]:
    """Where ``event`` went: each queue, the pattern that let it in, and what came of it."""
    return [
        Stop(
            pattern=binding.pattern,
            queue=binding.queue,
            outcomes=_outcomes(event, binding.queue, deliveries),
        )
        for binding in sorted(topology.current().route(event.routing_key), key=_audit_last)
    ]


def _audit_last(binding: topology.Binding) -> bool:
    return binding.queue == conf.current().audit.queue


def _outcomes(event: AuditLog, queue: str, deliveries: list[Delivery]) -> list[Outcome]:
    found = [
        Outcome(state=each.state, text=_told(each)) for each in deliveries if each.queue == queue
    ]
    if queue == conf.current().audit.queue:
        found.append(Outcome(state="handled", text=f"recorded as audit log entry {event.pk}"))
    return found


def _told(delivery: Delivery) -> str:
    """``transcode: handled in 1.84 s, 1 attempt``."""
    attempts = f"{delivery.attempts} attempt{'s' if delivery.attempts != 1 else ''}"
    took = duration(delivery)
    within = f" in {in_words(took)}" if took is not None else ""
    return f"{delivery.subscription}: {delivery.get_state_display()}{within}, {attempts}"


def in_words(length: timedelta) -> str:
    """A length of time as people read it: ``1.84 s`` or ``12 ms``."""
    if length < timedelta(seconds=1):
        return f"{max(1, round(length / timedelta(milliseconds=1)))} ms"
    return f"{length.total_seconds():.2f} s"


def duration(delivery: Delivery) -> timedelta | None:
    """How long the last attempt took, if it has ended."""
    if delivery.started_at is None or delivery.finished_at is None:
        return None
    return delivery.finished_at - delivery.started_at
