"""What is searched for? Exact values in columns that have an index, and nothing else.

A term may name its column (``event:0190…``, ``key:video.upload``, ``correlation:…``, quotes around
spaces); one that does not is looked for where its form fits. Several terms narrow the search.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.utils.text import format_lazy, smart_split, unescape_string_literal
from django.utils.translation import gettext_lazy as _

from taskrouting import conf
from taskrouting.models import AuditLog

#: What one may type before the colon -> the column.
Columns = Mapping[str, str]

Rows = QuerySet[Model, Model]

#: Events of one conversation that a search in another table looks for.
MOST_EVENTS = 1000

#: Columns whose index leaves out empty values.
SPARSE = ("correlation_id", "causation_id", "subject")

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


def narrowed(rows: Rows, text: str, columns: Columns) -> Rows:
    """Return the ``rows`` for which every term of ``text`` is true."""
    for term in smart_split(text):
        rows = _narrowed(rows, term, columns)
    return rows


def explained(columns: Columns) -> Any:
    """Say in words what may be typed."""
    names = [*columns, *(["correlation"] if _by_event(columns) else [])]
    return format_lazy("{} {}", _("Exact values:"), " ".join(f"{name}:…" for name in names))


def exactly(column: str, value: str) -> Q:
    """Ask for one value in a way that lets every database use the column's index.

    Some indexes leave empty values out; SQLite uses those only for a query that says so too.
    """
    found = Q(**{column: value})
    return found & ~Q(**{column: ""}) if column in SPARSE else found


def quoted(name: str, value: str) -> str:
    """Write a term that finds ``value``, whatever characters are in it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}:"{escaped}"'


def _narrowed(rows: Rows, term: str, columns: Columns) -> Rows:
    name, colon, value = term.partition(":")
    if colon and name in columns:
        return rows.filter(exactly(columns[name], _unquoted(value)))
    if colon and name == "correlation" and _by_event(columns):
        return rows.filter(event_id__in=_conversation(_unquoted(value)))
    if _by_event(columns):
        return _of_event(rows, _unquoted(term))
    anywhere = (exactly(column, _unquoted(term)) for column in _bare(columns))
    return rows.filter(reduce(or_, anywhere))


def _of_event(rows: Rows, value: str) -> Rows:
    """Take ``value`` for an event or a conversation, or else for a routing key.

    One after the other and not with OR: here the routing key has no index, and a search for an
    event would read the whole table with it.
    """
    known = rows.filter(event_id__in=[value, *_conversation(value)])
    if _UUID.fullmatch(value) or known.exists():
        return known
    return rows.filter(routing_key=value)


def _bare(columns: Columns) -> list[str]:
    """Return the columns that a value without a name may be in; all of them have an index."""
    usual = [columns[name] for name in ("event", "key", "correlation") if name in columns]
    return usual or list(columns.values())


def _by_event(columns: Columns) -> bool:
    """Tell whether rows belong to events whose conversation only the audit log knows."""
    return "event" in columns and "correlation" not in columns


def _conversation(correlation_id: str) -> list[str]:
    """Return the ids of a conversation's events, from the audit log: only it knows them.

    Fetched first and not joined, so that the database uses its index on the event id.
    """
    recorded = AuditLog.objects.using(conf.current().database)
    events = recorded.filter(exactly("correlation_id", correlation_id))
    return list(events.values_list("event_id", flat=True)[:MOST_EVENTS])


def _unquoted(text: str) -> str:
    """Take the quotes off a value that has them at both ends."""
    if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]:
        return unescape_string_literal(text)
    return text
