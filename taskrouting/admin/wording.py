"""How is a condition said to people? As the filters beside a list and its search box call it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from taskrouting import topics
from taskrouting.models import DeadLetter

from . import shown
from .searching import Term

#: What a sweep keeps of a condition -> the name that the condition had.
KEPT = {
    "event_id": "event",
    "event_id__in": "event",
    "routing_key": "key",
    "routing_key__regex": "pattern",
    "created_at__gte": "after",
    "created_at__lt": "before",
}

#: The names of conditions, in the order in which they are read.
WORDS = {
    "reason": _("reason"),
    "queue": _("queue"),
    "subscription": _("subscription"),
    "cause": _("cause"),
    "event": _("event"),
    "correlation": _("conversation"),
    "subject of": _("subject"),
    "key": _("routing key"),
    "pattern": _("routing keys like"),
    "after": _("after"),
    "before": _("before"),
}


def of_terms(terms: Iterable[Term]) -> list[dict[str, Any]]:
    """Say the conditions that a list was asked for."""
    return [_said(term.name, term.value) for term in terms]


def of_kept(chosen: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Say the conditions that a sweep has kept; one that is unknown here, as it is."""
    places = {name: place for place, name in enumerate(WORDS)}
    named = [(KEPT.get(lookup, lookup), lookup, value) for lookup, value in chosen.items()]
    named.sort(key=lambda each: places.get(each[0], len(places)))
    return [_said(name, _value(lookup, value)) for name, lookup, value in named]


def _said(name: str, value: Any) -> dict[str, Any]:
    if name == "reason":
        value = dict(DeadLetter.Reason.choices).get(value, value)
    elif isinstance(value, datetime):
        value = shown.instant(value)
    return {"name": WORDS.get(name, name), "value": gettext("(none)") if value == "" else value}


def _value(lookup: str, value: Any) -> Any:
    """Return what was asked for, of which a sweep keeps what a database understands."""
    if lookup == "routing_key__regex":
        return topics.pattern_in(value) or value
    if lookup == "event_id__in":
        return value[0] if len(value) == 1 else _counted(len(value))
    return shown.instant_of(value) if lookup.startswith("created_at__") else value


def _counted(number: int) -> str:
    """Say how many events are meant: they may be as many as a conversation has."""
    return ngettext("%(count)d event", "%(count)d events", number) % {"count": number}
