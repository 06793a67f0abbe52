"""In which words is the topology told? States by sign and word, in the diagram and in the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from taskrouting.catalog import Route
from taskrouting.models import Delivery, Message
from taskrouting.routing.subscriptions import Subscription
from taskrouting.wiring import Mark, Station, Wire, Wiring

from . import shown
from .diagram import (  # fmt: skip
    BINDINGS,
    EXCHANGE,
    QUEUES,
    SUBSCRIPTIONS,
    Band,
    Card,
    Diagram,
    Text,
    draw,
    fitted,
)

#: What each mark looks like: its colour, its sign, its words.
MARKS: dict[Mark, tuple[str, str, Any]] = {
    Mark.MISSING: ("dead", "✕", _("not on the broker")),
    Mark.DIFFERS: ("dead", "≠", _("has other arguments")),
    Mark.LEFT_OVER: ("pending", "◌", _("no longer declared")),
    Mark.FOREIGN: ("discarded", "◌", _("made by others")),
    Mark.UNSERVED: ("dead", "!", _("no consumer")),
    Mark.PAUSED: ("pending", "‖", _("paused")),
}
CONSUMED = ("handled", "✓", _("consumed"))

#: What is shown in its place while the broker cannot be asked.
UNKNOWN = ("discarded", "?", _("the broker does not answer"))

#: What is drawn with a broken line.
BROKEN = (Mark.MISSING, Mark.LEFT_OVER, Mark.FOREIGN)

#: What is put before what a routing key comes by.
REACHED = "➜ "


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One queue in the table."""

    station: Station
    states: SafeString
    waiting: str
    oldest: str
    rate: str
    address: str
    may_pause: bool


class Shown:
    """The topology as a page shows it, with what a routing key comes by, if one was asked for."""

    def __init__(self, found: Wiring, user: Any, route: Route | None) -> None:
        self._found = found
        self._user = user
        stops = route.stops if route is not None else ()
        self._queues = {stop.queue for stop in stops}
        self._bindings = {(pattern, stop.queue) for stop in stops for pattern in stop.patterns}
        self._subscriptions = {each.name for stop in stops for each in stop.subscriptions}

    @property
    def diagram(self) -> Diagram:
        """The picture."""
        name, mark = self._found.exchange, self._found.exchange_mark
        lines = [Text(words=fitted(self._pointed(name, bool(self._queues)), EXCHANGE), kind="name")]
        lines += [Text(words=gettext("topic exchange"), kind="quiet"), *_marks([mark])]
        start = Card(lines=lines, title=name, reached=bool(self._queues))
        return draw(start, [self._band(each) for each in self._found.stations])

    @property
    def rows(self) -> list[Row]:
        """The same as a table."""
        return [
            Row(
                station=each,
                states=_states(each, self._healthy),
                waiting=waiting_in(each),
                oldest=shown.duration(each.oldest),
                rate=shown.NOTHING if each.an_hour is None else str(each.an_hour),
                address=self._list(Message, queue=each.name),
                may_pause=Mark.LEFT_OVER not in each.marks,
            )
            for each in self._found.stations
        ]

    @property
    def _healthy(self) -> tuple[str, str, Any]:
        """What to say of a queue with which nothing is wrong, as far as can be told."""
        return UNKNOWN if self._found.error else CONSUMED

    def _band(self, station: Station) -> Band:
        return Band(
            queue=self._queue(station),
            bindings=[self._binding(each) for each in station.wires],
            subscriptions=[self._subscription(each) for each in station.subscriptions],
        )

    def _queue(self, station: Station) -> Card:
        reached = station.name in self._queues
        consumers = ngettext("%(n)d consumer", "%(n)d consumers", station.consumers)
        waiting = gettext("%s waiting") % waiting_in(station)
        lines = [Text(words=fitted(self._pointed(station.name, reached), QUEUES), kind="name")]
        lines += [Text(words=waiting), Text(words=consumers % {"n": station.consumers})]
        if station.oldest is not None:
            oldest = gettext("oldest due for %s") % shown.duration(station.oldest)
            lines.append(Text(words=oldest))
        if station.an_hour is not None:
            lines.append(Text(words=gettext("%d in the last hour") % station.an_hour))
        lines += _marks(station.marks or [None], self._healthy)
        return Card(
            lines=lines,
            title=station.name,
            address=self._list(Message, queue=station.name),
            reached=reached,
            broken=any(mark in BROKEN for mark in station.marks),
        )

    def _binding(self, wire: Wire) -> Card:
        pattern, queue = wire.binding.pattern, wire.binding.queue
        reached = (pattern, queue) in self._bindings
        words = fitted(self._pointed(pattern, reached), BINDINGS)
        return Card(
            lines=[Text(words=words, kind="name"), *_marks([wire.mark])],
            title=f"{pattern} → {queue}",
            address=f"?{urlencode({'pattern': pattern})}",
            reached=reached,
            broken=wire.mark in BROKEN,
        )

    def _subscription(self, subscription: Subscription) -> Card:
        reached = subscription.name in self._subscriptions
        patterns = ", ".join(subscription.patterns)
        return Card(
            lines=[
                Text(
                    words=fitted(self._pointed(subscription.name, reached), SUBSCRIPTIONS),
                    kind="name",
                ),
                Text(words=fitted(patterns, SUBSCRIPTIONS), kind="quiet"),
            ],
            title=f"{subscription.name}: {patterns}",
            address=self._list(Delivery, subscription=subscription.name),
            reached=reached,
        )

    def _pointed(self, words: str, reached: bool) -> str:
        return f"{REACHED}{words}" if reached else words

    def _list(self, model: type[Model], **filters: str) -> str:
        """Return the address of a filtered list, for those who may view it."""
        label, name = model._meta.app_label, model._meta.model_name
        if not self._user.has_perm(f"{label}.view_{name}"):
            return ""
        return f"{reverse(f'admin:{label}_{name}_changelist')}?{urlencode(filters)}"


def waiting_in(station: Station) -> str:
    """Say how many messages wait, where that can be told, and how many are on their way to that."""
    words = gettext("?") if station.waiting is None else str(station.waiting)
    if station.in_database.number:
        words += " + " + gettext("%s in the database") % station.in_database
    return words


def _marks(
    marks: Sequence[Mark | None], otherwise: tuple[str, str, Any] | None = None
) -> Iterator[Text]:
    """A line for each mark; for what has none, what is told otherwise."""
    for mark in marks:
        if found := MARKS[mark] if mark else otherwise:
            kind, sign, words = found
            yield Text(words=f"{sign} {words}", kind=kind)


def _states(station: Station, otherwise: tuple[str, str, Any]) -> SafeString:
    found = [MARKS[mark] for mark in station.marks] or [otherwise]
    sign = '<span aria-hidden="true">{}</span> {}'
    state = f'<span class="taskrouting-state taskrouting-{{}}">{sign}</span>'
    return format_html_join(SafeString("<br>"), state, found)
