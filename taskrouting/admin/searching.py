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

#: Events of one conversation that a search in another table looks for.
MOST_EVENTS = 1000

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


def narrowed(rows: QuerySet[Model, Model], text: str, columns: Columns) -> QuerySet[Model, Model]:
    """Return the ``rows`` for which every term of ``text`` is true."""
    for term in smart_split(text):
        rows = rows.filter(_condition(term, columns))
    return rows


def explained(columns: Columns) -> Any:
    """Say in words what may be typed."""
    names = [*columns, *(["correlation"] if _by_event(columns) else [])]
    return format_lazy("{} {}", _("Exact values:"), " ".join(f"{name}:…" for name in names))


def quoted(name: str, value: str) -> str:
    """Write a term that finds ``value``, whatever characters are in it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}:"{escaped}"'


def _condition(term: str, columns: Columns) -> Q:
    name, colon, value = term.partition(":")
    if colon and name in columns:
        return Q(**{columns[name]: _unquoted(value)})
    if colon and name == "correlation" and _by_event(columns):
        return Q(event_id__in=_conversation(_unquoted(value)))
    return _anywhere(_unquoted(term), columns)


def _anywhere(value: str, columns: Columns) -> Q:
    """Look for a value that came without a name. No UUID is a routing key."""
    if "correlation" in columns:
        found = Q(event_id=value) | Q(correlation_id=value)
    elif _by_event(columns):
        found = Q(event_id__in=[value, *_conversation(value)])
    else:
        return reduce(or_, (Q(**{column: value}) for column in columns.values()))
    if "key" in columns and not _UUID.fullmatch(value):
        found |= Q(routing_key=value)
    return found


def _by_event(columns: Columns) -> bool:
    """Tell whether rows belong to events whose conversation only the audit log knows."""
    return "event" in columns and "correlation" not in columns


def _conversation(correlation_id: str) -> list[str]:
    """Return the ids of a conversation's events, from the audit log: only it knows them.

    Fetched first and not joined, so that the database uses its index on the event id.
    """
    recorded = AuditLog.objects.using(conf.current().database)
    events = recorded.filter(correlation_id=correlation_id).values_list("event_id", flat=True)
    return list(events[:MOST_EVENTS])


def _unquoted(text: str) -> str:
    """Take the quotes off a value that has them at both ends."""
    if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]:
        return unescape_string_literal(text)
    return text
