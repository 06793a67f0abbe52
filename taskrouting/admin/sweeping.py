"""What may be done with all dead letters that match? They are grouped, and swept.

A sweep is begun on a page that says how many there are, counted and frozen; it is worked off in
the background (``operators/sweeps.py``), and its own page says how far it is (``sweeps.py``).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from taskrouting.dead_letters import groups
from taskrouting.dead_letters.groups import Group
from taskrouting.models import DeadLetter, Sweep
from taskrouting.operators import sweeps

from . import links, shown, wording
from .actions import actor_of, may
from .asking import LAST_ROW, refuse_nul
from .frames import framed
from .record import RecordAdmin
from .searching import Term

if TYPE_CHECKING:
    Form = forms.Form
else:
    Form = forms.Form

#: Letters in a second, where nobody says otherwise: enough to be done soon, and easy to bear.
USUAL_RATE = 20

#: What each deed needs, and is called.
PERMISSIONS = {
    Sweep.Deed.REDRIVE: "redrive_deadletter",
    Sweep.Deed.DISCARD: "discard_deadletter",
}
TITLES = {
    Sweep.Deed.REDRIVE: _("Redrive all that match"),
    Sweep.Deed.DISCARD: _("Discard all that match"),
}


class Unsweepable(Exception):
    """What was asked for cannot be swept; the text says why."""


class SweepForm(Form):
    """How fast, and why?"""

    upto = forms.IntegerField(widget=forms.HiddenInput, min_value=0, max_value=LAST_ROW)
    rate = forms.IntegerField(
        label=_("No more in a second than"),
        min_value=1,
        max_value=sweeps.FASTEST,
        initial=USUAL_RATE,
        help_text=_("Spares what has just recovered. It can be stopped at any time."),
    )
    note = forms.CharField(
        label=_("Note"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
        max_length=1000,
        help_text=_("Kept with each dead letter and in the audit log, with your name."),
    )

    def __init__(self, deed: str, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        if deed == Sweep.Deed.DISCARD:
            self.fields["note"].label = _("Reason")
            self.fields["note"].required = True


class SweepingAdmin(RecordAdmin):
    """Dead letters, by kind and by the thousand."""

    def get_urls(self) -> list[URLPattern]:
        """Add the groups, and where a sweep is begun."""
        wrap = self.admin_site.admin_view
        return [
            path("groups/", wrap(self.groups_view), name="taskrouting_deadletter_groups"),
            path("sweep/", wrap(self.sweep_view), name="taskrouting_deadletter_sweep"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Offer to sweep what is listed."""
        told = {"deeds": deeds_of(request), "tab": "list"}
        return super().changelist_view(request, {**told, **(extra_context or {})})

    def groups_view(self, request: HttpRequest) -> HttpResponse:
        """Show what the open ones died of, the most frequent first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found, more = groups.open_groups()
        return framed(
            self, request, "groups.html", gettext("Dead letters by cause"),
            groups=[_told(group) for group in found], more=more, most=groups.MOST_GROUPS,
            deeds=deeds_of(request), tab="groups",
        )  # fmt: skip

    def sweep_view(self, request: HttpRequest) -> HttpResponse:
        """Say how many match, and ask how fast; begin when that is confirmed."""
        refuse_nul(request)
        deed = request.GET.get("deed", Sweep.Deed.REDRIVE)
        if deed not in Sweep.Deed or not may(request, PERMISSIONS[Sweep.Deed(deed)]):
            raise PermissionDenied
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = SweepForm(deed, request.POST if request.method == "POST" else None)
        try:
            terms, chosen = self._chosen(request)
        except Unsweepable as reason:
            return self._asked(request, deed, form=form, trouble=str(reason))
        if form.is_valid():
            sweep = sweeps.begin(deed, chosen, actor=actor_of(request), **form.cleaned_data)
            return HttpResponseRedirect(links.page_of(sweep))
        upto = form.data.get("upto", "") if form.is_bound else ""
        known = upto.isdecimal() and len(upto) <= len(str(LAST_ROW))
        frozen = min(int(upto), LAST_ROW) if known else sweeps.highest()
        if not form.is_bound:
            form.initial["upto"] = frozen
        count, more = sweeps.counted(chosen, frozen)
        asked = wording.of_terms(terms)
        return self._asked(request, deed, form=form, asked=asked, count=count, more=more)

    def _asked(self, request: HttpRequest, deed: str, **told: Any) -> HttpResponse:
        title = str(TITLES[Sweep.Deed(deed)])
        return framed(
            self, request, "sweep_begin.html", title, deed=deed, tab="sweep",
            back=f"{reverse('admin:taskrouting_deadletter_changelist')}?{_query(request)}", **told,
        )  # fmt: skip

    def _chosen(self, request: HttpRequest) -> tuple[list[Term], dict[str, Any]]:
        """Return what the list was asked for, and the same as a sweep remembers it."""
        query = request.GET.copy()
        query.pop("deed", None)
        request.GET = query  # type: ignore[assignment]  # a QueryDict, only one that can change
        changes = self.changes(request)
        if changes.trouble:
            raise Unsweepable(changes.trouble)
        terms = [term for term in changes.asked() if term.name != "open"]
        chosen: dict[str, Any] = {}
        for term in terms:
            chosen |= _remembered(term)
        return terms, chosen


def deeds_of(request: HttpRequest) -> list[dict[str, Any]]:
    """Return what the user may do with all that match: its name and title."""
    return [
        {"deed": deed, "title": TITLES[deed]}
        for deed, permission in PERMISSIONS.items()
        if may(request, permission)
    ]


def _remembered(term: Term) -> dict[str, Any]:
    """Write a condition so that it can be kept. Raises Unsweepable."""
    lookups = {name: value for name, value in term.lookups.items() if not name.startswith("pk__")}
    if term.otherwise is not None or not lookups or set(lookups) - sweeps.CHOOSABLE:
        text = gettext("Only open dead letters can be swept, and not by “%(name)s”.")
        raise Unsweepable(text % {"name": term.name})
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in lookups.items()
    }


def _told(group: Group) -> dict[str, Any]:
    """Say of a group what its line shows."""
    query = {"queue": group.queue, "subscription": group.subscription, "cause": group.cause}
    address = f"{reverse('admin:taskrouting_deadletter_changelist')}?{urlencode(query)}"
    example: Any = group.example
    return {
        "group": group,
        "address": address,
        "query": urlencode(query),
        "first_seen": shown.instant(group.first_seen),
        "last_seen": shown.instant(group.last_seen),
        "example": links.page_of(example),
        "line": shown.last_line(example.end_of_error),
        "reason": DeadLetter.Reason(example.reason).label,
    }


def _query(request: HttpRequest) -> str:
    query = request.GET.copy()
    query.pop("deed", None)
    return query.urlencode()
