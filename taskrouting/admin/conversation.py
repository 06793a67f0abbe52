"""What belongs together? The events of a conversation as a tree, with the deliveries of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest

from taskrouting.models import AuditLog, Delivery

from . import links, reading, shown
from .searching import walking

#: Events on one page; where there are more, the next page has them.
MOST_EVENTS = 100

#: Deliveries that are read for them.
MOST_DELIVERIES = 400

#: Deliveries of which every attempt is read: their tracebacks come along.
MOST_DETAILED = 20

#: How far the tree is indented.
DEEPEST = 8

Identity = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Node:
    """One event in the tree of its conversation."""

    event: AuditLog
    depth: int
    address: str
    here: bool
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def states(self) -> list[dict[str, Any]]:
        """What became of it, by subscription."""
        return [
            {"name": each.subscription, "state": shown.state(each.state, each.get_state_display())}
            for each in self.deliveries
        ]


def page_of(correlation_id: str, after: int = 0) -> tuple[list[AuditLog], bool]:
    """Return events of the conversation behind row ``after``, and whether there are more."""
    if not correlation_id:
        return [], False
    found = reading.recorded().filter(walking("correlation_id", correlation_id), pk__gt=after)
    events = list(found.order_by("correlation_id", "pk")[: MOST_EVENTS + 1])
    return events[:MOST_EVENTS], len(events) > MOST_EVENTS


def tree(
    events: Iterable[AuditLog],
    request: HttpRequest,
    *,
    here: AuditLog | None = None,
    known: Sequence[Delivery] = (),
    detailed: bool = False,
) -> list[Node]:
    """Return each event once, effects below their causes, with its deliveries.

    ``known`` are those of ``here``; of the others only the last attempt is read, unless it shall be
    ``detailed``. Nobody sees deliveries who may not view them.
    """
    lines = _lines(list(events))
    deliveries = _by_event(known)
    if reading.may_view(request, Delivery):
        others = [event for event, _ in lines if here is None or _key(event) != _key(here)]
        deliveries |= _by_event(_deliveries(others, detailed))
    return [
        Node(
            event=event,
            depth=min(depth, DEEPEST),
            address=links.story_of(event.event_id, event.source),
            here=here is not None and _key(event) == _key(here),
            deliveries=deliveries.get(_key(event), []),
        )
        for event, depth in lines
    ]


def _lines(events: list[AuditLog]) -> list[tuple[AuditLog, int]]:
    """Walk down from the beginnings; each event once, whatever circles the causes make."""
    known = {event.event_id for event in events}
    effects: dict[str, list[AuditLog]] = {}
    for event in events:
        cause = event.causation_id if event.causation_id in known else ""
        effects.setdefault("" if cause == event.event_id else cause, []).append(event)
    lines: list[tuple[AuditLog, int]] = []
    open_ends = [(event, 0) for event in reversed(effects.pop("", []))]
    while open_ends or effects:
        if not open_ends:  # only circles are left: begin somewhere
            open_ends = [(event, 0) for event in reversed(effects.pop(next(iter(effects))))]
        event, depth = open_ends.pop()
        lines.append((event, depth))
        follow = effects.pop(event.event_id, [])
        open_ends += [(effect, depth + 1) for effect in reversed(follow)]
    return lines


def _deliveries(events: Sequence[AuditLog], detailed: bool) -> list[Delivery]:
    """Read the deliveries of ``events`` in the order of their index, so that it can stop."""
    if not events:
        return []
    found = reading.rows_of(Delivery).filter(event_id__in=[event.event_id for event in events])
    ordered = found.defer("errors", "result").order_by("event_id", "source", "subscription")
    deliveries = list(ordered[:MOST_DELIVERIES])
    if detailed:
        _add_errors([each for each in deliveries if _had_errors(each)][:MOST_DETAILED])
    return deliveries


def _add_errors(deliveries: Sequence[Delivery]) -> None:
    """Read what went wrong in a few of them: tracebacks are large."""
    if deliveries:
        found = reading.rows_of(Delivery).filter(pk__in=[each.pk for each in deliveries])
        errors = dict(found.values_list("pk", "errors"))
        for each in deliveries:
            each.errors = errors.get(each.pk, [])


def _had_errors(delivery: Delivery) -> bool:
    return delivery.state != Delivery.State.HANDLED or delivery.attempts > 1


def _by_event(deliveries: Iterable[Delivery]) -> dict[Identity, list[Delivery]]:
    found: dict[Identity, list[Delivery]] = {}
    for delivery in deliveries:
        found.setdefault(_key(delivery), []).append(delivery)
    return found


def _key(row: AuditLog | Delivery) -> Identity:
    return row.event_id, row.source
