"""What does the dashboard show? How the installation is doing, at once and over the last hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from taskrouting import dashboard
from taskrouting.dashboard import RANGES, Figures, Filter, Line, Part, Range, State
from taskrouting.models import AuditLog, Dashboard, DeadLetter, Delivery, Figure, Message
from taskrouting.transport.store import OUTBOX

from . import drawing, links, shown
from .pages import PageAdmin

LIVE = "taskrouting_dashboard_live"

#: What each part and state is called, with a sign for those who cannot tell the colours apart.
PARTS = {
    "broker": gettext_lazy("Broker"),
    "relay": gettext_lazy("Relay"),
    "workers": gettext_lazy("Workers"),
    "audit": gettext_lazy("Audit writer"),
}
STATES = {
    State.OK: ("✓", gettext_lazy("OK")),
    State.LATE: ("!", gettext_lazy("late")),
    State.AWAY: ("✕", gettext_lazy("away")),
    State.OFF: ("–", gettext_lazy("off")),
}
LENGTHS = {
    "15m": gettext_lazy("15 minutes"),
    "1h": gettext_lazy("1 hour"),
    "24h": gettext_lazy("24 hours"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One figure that matters, and what it leads to."""

    label: str
    value: str
    about: str
    address: str = ""
    alarming: bool = False


@admin.register(Dashboard)
class DashboardAdmin(PageAdmin):
    """The page that says how the installation is doing."""

    template = "dashboard.html"

    #: The part of the page that changes, which the page's own script asks for again and again.
    live_template = "admin/taskrouting/dashboard_live.html"

    class Media:
        css: ClassVar[dict[str, Any]] = {"all": ["taskrouting/dashboard.css"]}
        js: ClassVar[list[str]] = ["taskrouting/dashboard.js"]

    def get_urls(self) -> list[URLPattern]:
        """Return the address of the page, and that of the part of it which changes."""
        shown_live = self.admin_site.admin_view(self.live_view)
        return [*super().get_urls(), path("live/", shown_live, name=LIVE)]

    def told(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the page tells: the filter, and what changes."""
        wanted, only = _asked(request)
        return {
            "ranges": [_range_link(each, wanted, only) for each in RANGES.values()],
            "only": only,
            "whole_address": _address(wanted, Filter()),
            "live_address": f"{reverse(f'admin:{LIVE}')}?{_query(wanted, only)}",
            **_live(request, wanted, only),
        }

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """Return what changes, as a piece of the page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return TemplateResponse(request, self.live_template, _live(request, *_asked(request)))


def _asked(request: HttpRequest) -> tuple[Range, Filter]:
    """Read what the address asks for; what it cannot mean is taken as not said."""
    wanted = RANGES.get(request.GET.get("range", ""), RANGES["15m"])
    queue, name = request.GET.get("queue", ""), request.GET.get("subscription", "")
    return wanted, Filter(queue="" if name else queue, subscription=name)


def _live(request: HttpRequest, wanted: Range, only: Filter) -> dict[str, Any]:
    seen = dashboard.look(wanted, only)
    return {
        "range": LENGTHS[wanted.name],
        "now": shown.instant(timezone.now()),
        "parts": [_part(each) for each in seen.parts],
        "cards": _cards(seen, request.user),
        "drawings": drawing.drawings(seen),
        "lines": [_line(each, wanted) for each in seen.lines],
    }


def _part(part: Part) -> dict[str, Any]:
    sign, word = STATES[part.state]
    return {
        "label": PARTS[part.name],
        "state": part.state.value,
        "sign": sign,
        "word": word,
        "age": shown.duration(max(part.age, timedelta(0))) if part.age is not None else "",
        "reason": part.reason,
    }


def _cards(seen: dashboard.Dashboard, user: Any) -> list[Card]:
    figures = seen.figures
    uncounted = _("of all queues only") if seen.only else _("not counted without an audit log")
    return [*_rates(figures, user, uncounted), *_levels(figures, user)]


def _rates(figures: Figures, user: Any, uncounted: str) -> list[Card]:
    """Return what happens all the time; ``uncounted`` says why nobody knows what is published."""
    published = figures.published_average
    return [
        Card(
            label=_("Published"),
            value=drawing.rate(figures.published),
            about=uncounted if published is None else _average(published),
        ),
        Card(
            label=_("Handled"),
            value=drawing.rate(figures.handled),
            about=_average(figures.handled_average),
            address=_list(user, Delivery),
        ),
        Card(
            label=_("Failed attempts"),
            value=drawing.share(figures.failure_rate),
            about=ngettext("%(count)d attempt", "%(count)d attempts", figures.failed)
            % {"count": figures.failed},
            alarming=figures.failed > 0,
        ),
    ]


def _levels(figures: Figures, user: Any) -> list[Card]:
    """Return what has piled up, or is late."""
    oldest, dead, lag = figures.oldest, figures.dead_letters, figures.audit_lag
    return [
        Card(
            label=_("Outbox"),
            value=str(figures.outbox),
            about=_("nothing is due")
            if oldest is None
            else _("the oldest for %s") % shown.duration(oldest),
            address=_list(user, Message, queue=OUTBOX),
        ),
        Card(
            label=_("Open dead letters"),
            value=str(dead),
            about=_("nobody has dealt with them") if dead.number else _("none to deal with"),
            address=_list(user, DeadLetter),
            alarming=dead.number > 0,
        ),
        Card(
            label=_("Audit lag"),
            value=shown.duration(lag),
            about=_("nothing is recorded yet")
            if lag is None
            else _("from the newest event until its entry"),
            address=_list(user, AuditLog),
        ),
    ]


def _average(rate: float) -> str:
    return _("%s on average") % drawing.rate(rate)


def _line(line: Line, wanted: Range) -> dict[str, Any]:
    totals = line.totals
    latency, took = Figure.Measure.LATENCY, Figure.Measure.DURATION
    return {
        "queue": line.queue,
        "queue_address": _address(wanted, Filter(queue=line.queue)),
        "subscription": line.subscription,
        "address": _address(wanted, Filter(subscription=line.subscription)),
        "handled": totals.handled,
        "rate": drawing.rate(totals.handled / wanted.length.total_seconds()),
        "failed": totals.failed,
        "failure_rate": drawing.share(totals.failure_rate),
        "latency": [shown.duration(totals.within(latency, each)) for each in (0.5, 0.95)],
        "took": [shown.duration(totals.within(took, each)) for each in (0.5, 0.95)],
    }


def _range_link(each: Range, wanted: Range, only: Filter) -> dict[str, Any]:
    return {
        "label": LENGTHS[each.name],
        "address": _address(each, only),
        "current": each is wanted,
    }


def _address(wanted: Range, only: Filter) -> str:
    return f"{links.list_of(Dashboard)}?{_query(wanted, only)}"


def _query(wanted: Range, only: Filter) -> str:
    given = {"range": wanted.name, "queue": only.queue, "subscription": only.subscription}
    return urlencode({name: value for name, value in given.items() if value})


def _list(user: Any, model: type[Model], **terms: str) -> str:
    """Return the address of a list, for those who may see it."""
    meta = model._meta
    allowed = user.has_perm(f"{meta.app_label}.view_{meta.model_name}")
    return links.list_of(model, **terms) if allowed else ""
