"""What happened to this event? Its deliveries, what waits, what died, its cause and its effects.

Every part is bounded and read through an index. Nobody sees a part whose table they may not view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Model, Q
from django.http import HttpRequest

from taskrouting import conf, masking, operators
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message

from . import links, shown
from .searching import exactly

#: Rows of each part; where there are more, the lists have them.
MOST = 100

#: How far the tree of a conversation is indented.
DEEPEST = 8

#: Columns that are not needed to tell an event from others.
LARGE = ("data", "extensions")


@dataclass(frozen=True, slots=True)
class Line:
    """One event in the tree of its conversation."""

    event: AuditLog
    depth: int
    address: str
    here: bool


def of_event(entry: AuditLog, request: HttpRequest) -> dict[str, Any]:
    """Tell the story of ``entry`` as far as the user may know it; ``None``: they may not."""
    letters = _letters(entry) if _may_view(request, DeadLetter) else None
    deliveries = _deliveries(entry) if _may_view(request, Delivery) else None
    waiting = _waiting(entry) if _may_view(request, Message) else None
    return {
        "deliveries": deliveries,
        "waiting": waiting,
        "letters": letters,
        "interventions": _interventions(letters or []),
        "causes": _events(Q(event_id=entry.causation_id)) if entry.causation_id else [],
        "effects": _events(exactly("causation_id", entry.event_id)),
        "conversation": conversation(entry),
        "conversation_address": links.list_of(AuditLog, correlation=entry.correlation_id),
        "most": MOST,
    }


def conversation(entry: AuditLog) -> list[Line]:
    """Return every event that shares the correlation of ``entry``, effects below their causes."""
    if not entry.correlation_id:
        return []
    found = _recorded().filter(exactly("correlation_id", entry.correlation_id))
    events = list(found.order_by("pk")[:MOST])
    known = {event.event_id for event in events}
    effects: dict[str, list[AuditLog]] = {}
    for event in events:
        cause = event.causation_id if event.causation_id in known else ""
        effects.setdefault("" if cause == event.event_id else cause, []).append(event)
    return _tree(effects, entry)


def _tree(effects: dict[str, list[AuditLog]], entry: AuditLog) -> list[Line]:
    """Walk down from the beginnings; each event once, whatever circles the causes make."""
    lines: list[Line] = []
    open_ends = [(event, 0) for event in reversed(effects.pop("", []))]
    while open_ends or effects:
        if not open_ends:  # only circles are left: begin somewhere
            open_ends = [(event, 0) for event in reversed(effects.pop(next(iter(effects))))]
        event, depth = open_ends.pop()
        lines.append(Line(event, min(depth, DEEPEST), links.page_of(event), event.pk == entry.pk))
        follow = effects.pop(event.event_id, [])
        open_ends += [(effect, depth + 1) for effect in reversed(follow)]
    return lines


def _deliveries(entry: AuditLog) -> list[dict[str, Any]]:
    found = _in(Delivery).filter(event_id=entry.event_id, source=entry.source)
    return [
        {
            "row": row,
            "address": links.page_of(row),
            "state": shown.state(row.state, row.get_state_display()),
            "duration": duration_of(row),
            "errors": errors_of(row),
        }
        for row in found.defer("result").order_by("pk")[:MOST]
    ]


def duration_of(delivery: Delivery) -> str:
    """Say how long the last attempt of a delivery took."""
    if delivery.started_at is None or delivery.finished_at is None:
        return shown.NOTHING
    return shown.duration(delivery.finished_at - delivery.started_at)


def errors_of(delivery: Delivery) -> list[dict[str, Any]]:
    """Return what went wrong in each attempt that the ledger remembers."""
    remembered = delivery.errors if isinstance(delivery.errors, list) else []
    return [
        {
            "attempt": error.get("attempt"),
            "started": shown.instant_of(error.get("started")),
            "duration": shown.duration(error.get("duration")),
            "worker": error.get("worker"),
            "what": masking.hidden_in_text(f"{error.get('exception')}: {error.get('message')}"),
            "traceback": masking.hidden_in_text(str(error.get("traceback"))),
        }
        for error in remembered
        if isinstance(error, dict)
    ]


def _waiting(entry: AuditLog) -> list[dict[str, Any]]:
    found = _in(Message).filter(event_id=entry.event_id, source__in=(entry.source, ""))
    found = found.defer("body", "headers", "properties").order_by("available_at")
    return [{"row": row, "address": links.page_of(row)} for row in found[:MOST]]


def _letters(entry: AuditLog) -> list[dict[str, Any]]:
    found = _in(DeadLetter).filter(event_id=entry.event_id, source__in=(entry.source, ""))
    return [
        {
            "row": row,
            "address": links.page_of(row),
            "state": shown.resolution(row),
            "error": shown.last_line(row.error),
        }
        for row in found.defer("body", "headers", "properties").order_by("pk")[:MOST]
    ]


def _interventions(letters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what operators did with ``letters``, as the audit log has it."""
    subjects = [operators.subject_of(letter["row"].pk) for letter in letters]
    return _events(Q(subject__in=subjects) & ~Q(subject="")) if subjects else []


def _events(condition: Q) -> list[dict[str, Any]]:
    found = _recorded().filter(condition).order_by("pk")[:MOST]
    return [{"row": row, "address": links.page_of(row)} for row in found]


def _recorded() -> Any:
    return _in(AuditLog).defer(*LARGE)


def _in(model: type[Model]) -> Any:
    return model._default_manager.using(conf.current().database)


def _may_view(request: HttpRequest, model: type[Model]) -> bool:
    name = f"{model._meta.app_label}.view_{model._meta.model_name}"
    return request.user.has_perm(name)
