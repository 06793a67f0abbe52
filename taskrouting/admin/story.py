"""What happened to this event? Who published it, where it went and why, and what followed.

Every part is bounded and read through an index. Nobody sees a part whose table they may not view.
An event that is not in the audit log is told from what else is known of it.
"""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import Q
from django.http import HttpRequest

from taskrouting import conf, operators
from taskrouting.models import AuditLog, Binding, DeadLetter, Delivery, Message
from taskrouting.publishing.publisher import REQUEST, REQUEST_ID

from . import conversation, envelopes, links, reading, reasons, shown, waterfall
from .attempts import duration_of, errors_of
from .searching import walking

#: Rows of each part; where there are more, the lists have them.
MOST = 100

#: Producers that have used one id, of which we speak.
MOST_SOURCES = 10

#: Columns of messages and dead letters that can be large.
CONTENT = ("body", "headers", "properties")


def tell(event_id: str, source: str, request: HttpRequest, site: AdminSite) -> dict[str, Any]:
    """Tell the story of an event as far as the user may know it; ``None``: they may not."""
    entries = _entries(event_id, source)
    source = entries[0].source if entries else source
    deliveries = _deliveries(event_id, source) if reading.may_view(request, Delivery) else None
    waiting = _waiting(event_id, source) if reading.may_view(request, Message) else None
    letters = _letters(event_id, source) if reading.may_view(request, DeadLetter) else None
    entry = entries[0] if entries else _unrecorded(waiting, letters)
    told: dict[str, Any] = {
        "event_id": event_id,
        "entry": entry,
        "recorded": bool(entries),
        "known": bool(entry or deliveries or waiting or letters),
        "others": [(each.source, links.story_of(event_id, each.source)) for each in entries[1:]],
        "deliveries": _told_deliveries(deliveries),
        "waiting": waiting,
        "letters": letters,
        "interventions": _interventions(letters or []),
        "most": MOST,
    }
    told["reasons"] = _reasons(told, deliveries, request)
    return told if entry is None else told | _of_entry(entry, deliveries or [], request, site)


def _of_entry(
    entry: AuditLog, deliveries: list[Delivery], request: HttpRequest, site: AdminSite
) -> dict[str, Any]:
    """Tell what only the event itself knows."""
    around = _around(entry)
    nodes = conversation.tree(around["events"], request, here=entry, known=deliveries)
    return {
        **around,
        "when": shown.instant(entry.occurred_at),
        "of_request": entry.extensions.get(REQUEST),
        "request_id": entry.extensions.get(REQUEST_ID),
        "object": links.to_object(entry.subject, request, site),
        "row_address": links.page_of(entry) if entry.pk else "",
        "conversation_address": links.conversation_of(entry.correlation_id),
        "nodes": nodes,
        "waterfall": waterfall.of(nodes),
        "envelope": envelopes.block(entry),
        "command": envelopes.command(entry),
    }


def _around(entry: AuditLog) -> dict[str, Any]:
    """Return the conversation, or of a long one only cause, event and effects."""
    caused = reading.recorded().filter(walking("causation_id", entry.event_id))
    effects = list(caused.order_by("causation_id", "id")[: MOST + 1])  # in the order of its index
    events, more = conversation.page_of(entry.correlation_id)
    causes = [each for each in events if each.event_id == entry.causation_id]
    if entry.causation_id and not causes:
        causes = list(reading.recorded().filter(event_id=entry.causation_id)[:MOST_SOURCES])
    near = [*causes, entry, *effects[:MOST]]
    return {
        "causes": _addressed(causes),
        "more_effects": len(effects) > MOST,
        "effects_address": links.list_of(AuditLog, cause=entry.event_id),
        "more_events": more,
        "events": _distinct(near if more else [*causes, *events, *near]),
    }


def _distinct(events: list[AuditLog]) -> list[AuditLog]:
    """Return each event once, in the order in which they were recorded; what was not is last."""
    distinct = {(each.event_id, each.source): each for each in events}
    return sorted(distinct.values(), key=lambda each: (each.pk is None, each.pk or 0))


def _entries(event_id: str, source: str) -> list[AuditLog]:
    found = reading.rows_of(AuditLog).filter(event_id=event_id)
    found = found.filter(source=source) if source else found.order_by("event_id", "source")
    return list(found[:MOST_SOURCES])


def _reasons(
    told: dict[str, Any], deliveries: list[Delivery] | None, request: HttpRequest
) -> list[reasons.Reason] | None:
    if not reading.may_view(request, Binding):
        return None
    rows = [told["entry"], *(deliveries or []), *(each["row"] for each in told["letters"] or [])]
    key = next((row.routing_key for row in rows if row is not None), "")
    return reasons.of(key, deliveries, told["recorded"])


def _deliveries(event_id: str, source: str) -> list[Delivery]:
    found = reading.rows_of(Delivery).filter(event_id=event_id)
    found = found.filter(source=source) if source else found
    return list(found.defer("result").order_by("event_id", "source", "subscription")[:MOST])


def _told_deliveries(deliveries: list[Delivery] | None) -> list[dict[str, Any]] | None:
    if deliveries is None:
        return None
    return [
        {
            "row": row,
            "address": links.page_of(row),
            "state": shown.state(row.state, row.get_state_display()),
            "duration": duration_of(row),
            "received": shown.instant(row.received_at),
            "errors": errors_of(row),
        }
        for row in deliveries
    ]


def _waiting(event_id: str, source: str) -> list[dict[str, Any]]:
    """Return what waits in any of our databases; only the rows of ``DATABASE`` have a page."""
    settings = conf.current()
    return [
        {
            "row": row,
            "address": links.page_of(row) if alias == settings.database else "",
            "database": "" if alias == settings.database else alias,
            "due": shown.instant(row.available_at),
        }
        for alias in settings.databases
        for row in _of_event(reading.rows_of(Message, alias), event_id, source)
    ]


def _letters(event_id: str, source: str) -> list[dict[str, Any]]:
    return [
        {
            "row": row,
            "address": links.page_of(row),
            "state": shown.resolution(row),
            "since": shown.instant(row.created_at),
            "error": shown.last_line(row.error),
        }
        for row in _of_event(reading.rows_of(DeadLetter), event_id, source)
    ]


def _of_event(rows: Any, event_id: str, source: str) -> Any:
    found = rows.filter(event_id=event_id)
    found = found.filter(source__in=(source, "")) if source else found
    # By the event first: that column has an index, and few rows have one value in it.
    return found.defer(*CONTENT).order_by("event_id", "pk")[:MOST]


def _unrecorded(
    waiting: list[dict[str, Any]] | None, letters: list[dict[str, Any]] | None
) -> AuditLog | None:
    """Read the event from a message that holds it, where the audit log does not know it."""
    for each in [*(waiting or []), *(letters or [])][:1]:
        row: Message | DeadLetter = each["row"]
        whole = reading.rows_of(type(row), row._state.db).filter(pk=row.pk).first()
        return envelopes.entry_in(whole) if whole else None  # taken in the meantime
    return None


def _interventions(letters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what operators did with ``letters``, as the audit log has it."""
    subjects = [operators.subject_of(letter["row"].pk) for letter in letters]
    if not subjects:
        return []
    told = reading.recorded().filter(Q(subject__in=subjects) & ~Q(subject=""))
    return _addressed(told.order_by("subject", "pk")[:MOST])


def _addressed(events: Any) -> list[dict[str, Any]]:
    return [
        {
            "row": row,
            "address": links.story_of(row.event_id, row.source),
            "when": shown.instant(row.occurred_at),
        }
        for row in events
    ]
