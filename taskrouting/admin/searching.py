"""What may be typed into the search box? Terms with a name, such as ``key:video.#``, and ids.

=====================  ==========================================================================
term                   finds
=====================  ==========================================================================
``event:0190…``        one event; also ``correlation:``, ``cause:``, ``subject:`` and others,
                       by table: whole values, in quotes where there are spaces
``key:video.upload``   a routing key, or with ``*`` and ``#`` those that the pattern matches
``after:2026-11-01``   what is not older, in the reader's time zone; also with a time, ``…T10:00``
``before:2026-11-02``  what is older
``0190…``              without a name: an event, a conversation, or else a routing key
=====================  ==========================================================================

Several terms narrow the search. Each is a condition; which index finds its rows is decided by
the table's page (``record.py``). docs/reference/search.md tells it to those who search.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.utils import dateparse, timezone
from django.utils.text import format_lazy, smart_split, unescape_string_literal
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from taskrouting import conf, topics
from taskrouting.models import AuditLog

#: More than any zone is away from UTC.
MARGIN = timedelta(days=2)

#: What one may type before the colon -> the column.
Columns = Mapping[str, str]

Rows = QuerySet[Model, Model]

#: Events of one conversation, or of one subject, that a search in another table looks for.
MOST_EVENTS = 1000

#: Every ``#`` beside words may make a database walk the key once more.
MOST_HASHES = 3

#: Columns whose index leaves out empty values.
SPARSE = ("correlation_id", "causation_id", "subject")

#: What other tables know only through the audit log -> its column.
THROUGH_THE_LOG = {"correlation": "correlation_id", "subject": "subject"}

#: Terms that find few rows, whatever else is asked.
FEW = frozenset({"event", "correlation", "cause", "subject of"})

TIMES = ("after", "before")

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


class Mistake(Exception):
    """What was typed means nothing; the text says what would."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition that was asked for."""

    name: str
    value: Any

    #: The condition, as keywords for ``filter``.
    lookups: dict[str, Any] = field(default_factory=dict)

    #: The condition where keywords cannot say it.
    otherwise: Q | None = None

    @property
    def condition(self) -> Q:
        """The condition, said so that every database uses the column's index."""
        said = (exactly(column, value) for column, value in self.lookups.items())
        return self.otherwise or Q(*said)


def read(text: str, columns: Columns, rows: Rows) -> list[Term]:
    """Return the terms of ``text`` for a table that has ``columns``. Raises Mistake.

    ``rows`` is asked what a value without a name is.
    """
    terms = [_term(each, columns, rows) for each in smart_split(text)]
    times = {term.name: term.value for term in terms if term.name in TIMES}
    if len(times) == len(TIMES) and times["after"] >= times["before"]:
        raise Mistake(gettext("Nothing is both after and before these times: swap them."))
    return terms


def explained(columns: Columns) -> Any:
    """Say in words what may be typed."""
    examples = {
        "key": "key:video.#",
        "after": "after:2026-11-01",
        "before": "before:2026-11-01T10:00",
    }
    terms = " ".join(examples.get(name, f"{name}:…") for name in names(columns))
    return format_lazy(_("An id, or: {terms}") if "event" in columns else "{terms}", terms=terms)


def exactly(column: str, value: Any) -> Q:
    """Ask for one value in a way that lets every database use the column's index.

    Some indexes leave empty values out; SQLite uses those only for a query that says so too.
    """
    found = Q(**{column: value})
    return found & ~Q(**{column: ""}) if column in SPARSE else found


def walking(column: str, value: str) -> Q:
    """Ask for one value in a way that makes a walk down the column's index the cheapest.

    For a query that is ordered by ``column`` first. Told that a column equals a value, PostgreSQL
    forgets that order, and where it takes the value for common it walks another index, filtering,
    perhaps past millions of rows until it meets the first one.
    """
    within = Q(**{f"{column}__gte": value, f"{column}__lte": value})
    return within & ~Q(**{column: ""}) if column in SPARSE else within


def quoted(name: str, value: str) -> str:
    """Write a term that finds ``value``, whatever characters are in it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}:"{escaped}"'


def key_term(value: str) -> Term:
    """Ask for a routing key, or for those that a pattern matches. Raises Mistake."""
    if odd := topics.suspicious_words(value):
        text = gettext("In “%(word)s” the sign stands for itself: * and # stand for whole words.")
        raise Mistake(text % {"word": odd[0]})
    if not topics.wildcards(value):
        return Term("key", value, {"routing_key": value})
    if value.split(".").count("#") > MOST_HASHES:
        text = gettext("A pattern may have no more than %(most)d times # here.")
        raise Mistake(text % {"most": MOST_HASHES})
    return Term("pattern", value, {"routing_key__regex": topics.expression(value)})


def _term(text: str, columns: Columns, rows: Rows) -> Term:
    name, colon, value = text.partition(":")
    if not colon or name not in names(columns):
        _refuse_slip(name if colon and "." not in name else "", columns)
        return _bare(_unquoted(text), columns, rows)
    value = _unquoted(value)
    if name in TIMES:
        return Term(name, instant(value))
    if name == "key":
        return key_term(value)
    if name in columns:
        return Term(name, value, {columns[name]: value})
    events = _events(exactly(THROUGH_THE_LOG[name], value))
    return Term(f"{name} of" if name == "subject" else name, value, {"event_id__in": events})


def _bare(value: str, columns: Columns, rows: Rows) -> Term:
    """Take a value without a name for an event or a conversation, or else for a routing key.

    One after the other and not with OR: where the routing key has no index, a search for an event
    would read the whole table with it.
    """
    if "event" not in columns:
        anywhere = Q(*((column, value) for column in columns.values()), _connector=Q.OR)
        return Term("bare", value, otherwise=anywhere)
    if "correlation" in columns:
        known = exactly("event_id", value) | exactly(columns["correlation"], value)
        term = Term("event", value, otherwise=known)
    else:
        events = [value, *_events(exactly("correlation_id", value))]
        term = Term("event", value, {"event_id__in": events})
    if "key" not in columns or _UUID.fullmatch(value) or rows.filter(term.condition).exists():
        return term
    return key_term(value)


def instant(text: str) -> datetime:
    """Read a day or a time, in the reader's time zone. Raises Mistake."""
    try:
        found = dateparse.parse_datetime(text)
        day = None if found else dateparse.parse_date(text)
    except ValueError:  # it looks like one, and there is no such day
        found = day = None
    if day is not None:
        found = datetime.combine(day, time())
    if found is None:
        told = gettext("“%(text)s” is no time: write 2026-11-01 or 2026-11-01T10:00.")
        raise Mistake(told % {"text": text})
    return as_django_keeps_it(_within(found))


def _within(when: datetime) -> datetime:
    """Move a time at the very ends of the calendar to where one can still count from it."""
    first, last = (each.replace(tzinfo=when.tzinfo) for each in (datetime.min, datetime.max))
    return min(max(when, first + MARGIN), last - MARGIN)


def as_django_keeps_it(when: datetime) -> datetime:
    """Give a time its zone, or take it away, as ``USE_TZ`` wants it."""
    if timezone.is_aware(timezone.now()):
        return when if timezone.is_aware(when) else timezone.make_aware(when)
    return timezone.make_naive(when) if timezone.is_aware(when) else when


def _refuse_slip(name: str, columns: Columns) -> None:
    """Refuse a name that was likely meant to be another. A foreign event's id may have colons."""
    known = names(columns)
    if near := difflib.get_close_matches(name, known, n=1):
        text = gettext(
            "There is no “%(name)s:” here; did you mean “%(near)s:”? Understood: %(all)s"
        )
        understood = " ".join(f"{each}:" for each in known)
        raise Mistake(text % {"name": name, "near": near[0], "all": understood})


def names(columns: Columns) -> list[str]:
    """Return what may stand before a colon: columns, what the audit log knows, and times."""
    if "event" not in columns:
        return list(columns)
    return list(dict.fromkeys([*columns, *THROUGH_THE_LOG, *TIMES]))


def _events(condition: Q) -> list[str]:
    """Return the ids of events, from the audit log: only it knows what they are about.

    Fetched first and not joined, so that the database uses its index on the event id. The newest
    ones, and their numbers first, which the index alone has: see ``walking.py``.
    """
    recorded = AuditLog.objects.using(conf.current().database)
    numbers = recorded.filter(condition).order_by("-pk").values("pk")[:MOST_EVENTS]
    return list(recorded.filter(pk__in=numbers).values_list("event_id", flat=True))


def _unquoted(text: str) -> str:
    """Take the quotes off a value that has them at both ends."""
    if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]:
        return unescape_string_literal(text)
    return text
