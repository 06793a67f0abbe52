"""Which filters stand beside the lists? Those whose choices are known without asking the table.

States and reasons come from the enums, queues and subscriptions from the code. A value that is no
choice any more (``?queue=one_that_was_renamed``) still filters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from taskrouting.models import DeadLetter, Delivery
from taskrouting.publishing import declarations
from taskrouting.publishing.declarations import Capture
from taskrouting.routing import topology
from taskrouting.routing.subscriptions import registry
from taskrouting.transport.messages import OUTBOX

from .searching import Term, key_term

Rows = QuerySet[Model, Model]
Choices = list[tuple[str, Any]]


class TermFilter(SimpleListFilter):
    """Rows that fulfil one condition, which has a name."""

    def term(self) -> Term | None:
        """Return what is asked for; the table's page knows which index finds it."""
        raise NotImplementedError

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        """Keep the rows that fulfil it."""
        term = self.term()
        return queryset.filter(term.condition) if term else queryset


class ColumnFilter(TermFilter):
    """Rows whose column has one value. An empty value asks for rows that have none."""

    #: The column, and the condition's name.
    column = ""

    def term(self) -> Term | None:
        """Return the condition, where a value was chosen."""
        value = self.value()
        return None if value is None else Term(self.column, value, {self.column: value})


class StateFilter(ColumnFilter):
    """By state of the delivery."""

    title = _("state")
    parameter_name = "state__exact"
    column = "state"

    def term(self) -> Term | None:
        """Say also that it is not handled: SQLite looks into the index of those only then."""
        term = super().term()
        if term is None or term.value == Delivery.State.HANDLED:
            return term
        return replace(term, otherwise=term.condition & ~Q(state=Delivery.State.HANDLED))

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Choices:
        """Offer every state."""
        return list(Delivery.State.choices)


class ReasonFilter(ColumnFilter):
    """By reason of the dead letter."""

    title = _("reason")
    parameter_name = "reason__exact"
    column = "reason"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Choices:
        """Offer every reason."""
        return list(DeadLetter.Reason.choices)


class KnownFilter(ColumnFilter):
    """Rows whose column has one of the values that the code knows."""

    def known(self) -> list[str]:
        """Return the values to choose from."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Choices:
        """Offer what is known, and what is asked for."""
        value = self.value()
        asked = [] if value is None else [value]
        return [(name, name or _("(none)")) for name in sorted({*self.known(), *asked})]


class SubscriptionFilter(KnownFilter):
    """By subscription."""

    title = _("subscription")
    parameter_name = column = "subscription"

    def known(self) -> list[str]:
        """Return the subscriptions of this process."""
        return [subscription.name for subscription in registry]


class QueueFilter(KnownFilter):
    """By queue."""

    title = _("queue")
    parameter_name = column = "queue"

    def known(self) -> list[str]:
        """Return the queues of the topology."""
        return [queue.name for queue in topology.current().queues]


class WaitingQueueFilter(QueueFilter):
    """By queue, the outbox among them."""

    def known(self) -> list[str]:
        """Return the queues of the topology, and the outbox."""
        return [OUTBOX, *super().known()]


class PatternFilter(KnownFilter):
    """By what the code declares and a database can answer: keys ``a.b`` and patterns ``a.b.#``.

    Under which keys ``publish()`` is called nobody knows; the search box takes those.
    """

    title = _("declared routing key")
    parameter_name = "pattern"

    def known(self) -> list[str]:
        """Return what ``@publishes`` and ``@subscribe`` name, with no wildcard but a last ``#``."""
        patterns = {pattern for each in registry for pattern in each.patterns}
        patterns |= {key for capture in declarations.registry for key in _keys(capture)}
        return [each for each in patterns if not set("*#") & set(each.removesuffix(".#"))]

    def term(self) -> Term | None:
        """Return the condition as the search box would."""
        return key_term(pattern) if (pattern := self.value()) else None


class CauseFilter(KnownFilter):
    """By cause: only what a page of groups has led to, for nobody knows all causes."""

    title = _("cause")
    parameter_name = column = "cause"

    def known(self) -> list[str]:
        """Return nothing."""
        return []


def _keys(capture: Capture) -> Iterator[str]:
    """The keys of one ``@publishes``; for one with a field in it, the pattern of what it gives."""
    for key in filter(None, (capture.created, capture.updated, capture.deleted)):
        literal, field, _rest = key.partition("{")
        if not field:
            yield key
        elif "." in literal:
            yield f"{literal.rpartition('.')[0]}.#"


class OccurredFilter(TermFilter):
    """By age, on an indexed column, by the database's clock."""

    title = _("occurred")
    parameter_name = "within"
    ages = {"1": _("Past hour"), "24": _("Past 24 hours"), "168": _("Past 7 days")}

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Choices:
        """Offer a few ages, in hours."""
        return list(self.ages.items())

    def term(self) -> Term | None:
        """Return the condition, where an age was chosen."""
        hours = self.value()
        if hours not in self.ages:
            return None
        return Term("after", hours, {"occurred_at__gte": Now() - timedelta(hours=int(hours))})


class ResolutionFilter(TermFilter):
    """Open dead letters, unless asked for others. A search looks through all of them."""

    title = _("state")
    parameter_name = "resolution"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Choices:
        """Offer the open ones and every way of closing one."""
        return [("open", _("open")), *DeadLetter.Resolution.choices, ("all", _("all"))]

    def value(self) -> str:
        """Return what was chosen, or what is shown where nothing was."""
        default = "all" if self.request.GET.get(SEARCH_VAR) else "open"
        return super().value() or default

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Leave out Django's own "All", which would mean the default here."""
        return (choice for number, choice in enumerate(super().choices(changelist)) if number)

    def term(self) -> Term | None:
        """Return the condition; ``None`` for all of them."""
        value = self.value()
        if value == "open":
            return Term("open", value, {"resolved_at": None})
        if value in DeadLetter.Resolution:
            return Term("resolution", value, {"resolution": value})
        return None


class DueFilter(TermFilter):
    """What a message waits for: a consumer, its time, or whoever has claimed it."""

    title = _("waits for")
    parameter_name = "waits"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Choices:
        """Offer the three."""
        return [
            ("consumer", _("someone to take it")),
            ("time", _("its time")),
            ("claim", _("its claim to be settled")),
        ]

    def term(self) -> Term | None:
        """Return the condition of the chosen thing."""
        due = Q(available_at__lte=Now())
        conditions = {
            "consumer": due,
            "time": ~due & Q(claim=None),
            "claim": ~due & ~Q(claim=None),
        }
        condition = conditions.get(self.value() or "")
        return Term("waits", self.value(), otherwise=condition) if condition else None
