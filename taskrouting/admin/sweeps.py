"""How far is a sweep? Its page says so, and stops it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from taskrouting.models import AuditLog, DeadLetter, Sweep
from taskrouting.operators import sweeps

from . import links, shown, wording
from .actions import actor_of, may
from .frames import framed
from .record import RecordAdmin
from .searching import as_django_keeps_it
from .sweeping import PERMISSIONS

#: How long a step may be overdue before the page asks whether a relay runs.
OVERDUE = timedelta(seconds=15)

#: What is true of those that were neither dealt with nor refused.
LEFT = {
    Sweep.State.RUNNING: _("to come"),
    Sweep.State.FINISHED: _("closed before by others"),
}


@admin.register(Sweep)
class SweepAdmin(RecordAdmin):
    """What was wished for many dead letters at once."""

    list_display = ("started", "deed", "shown_state", "progress", "actor", "finished")
    about = _("Dead letters that were redriven, or discarded, all at once.")

    class Media:
        js = ("taskrouting/sweep.js",)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever may view dead letters may view what is done with them."""
        return may(request, f"view_{DeadLetter._meta.model_name}")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Sweeps are reached from the dead letters."""
        return self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        """Add the address that stops one."""
        stop = self.admin_site.admin_view(self.stop_view)
        stop.model_admin = self  # type: ignore[attr-defined]  # as Django marks its own pages
        return [path("<path:object_id>/stop/", stop, name="taskrouting_sweep_stop"),
                *super().get_urls()]  # fmt: skip

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """List them beside the dead letters."""
        return super().changelist_view(request, {"tab": "sweeps", **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show how far it is; as JSON for the script that keeps the page up to date."""
        if request.method == "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        sweep = self._found(request, object_id)
        told = told_of(sweep)
        if request.GET.get("form") == "json":
            return JsonResponse(told)
        title = _titled(sweep)
        left = LEFT.get(Sweep.State(sweep.state), _("not looked at"))
        return framed(
            self, request, "sweep.html", title, sweep=sweep, told=told, left=left, tab="sweeps",
            chosen=wording.of_kept(sweep.chosen),
            may_stop=may(request, PERMISSIONS[Sweep.Deed(sweep.deed)]),
            started=shown.instant(sweep.started_at), finished=shown.instant(sweep.finished_at),
            log=links.list_of(AuditLog, correlation=sweeps.correlation_of(sweep.pk)),
        )  # fmt: skip

    def stop_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Stop it, where the button was pressed."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        sweep = self._found(request, object_id)
        if request.method == "POST" and "stop" in request.POST:
            if not may(request, PERMISSIONS[Sweep.Deed(sweep.deed)]):
                raise PermissionDenied
            if not sweeps.stop(sweep, actor=actor_of(request)):
                messages.warning(request, gettext("It had ended before it could be stopped."))
        return HttpResponseRedirect(links.page_of(sweep))

    def _found(self, request: HttpRequest, object_id: str) -> Sweep:
        sweep = self.get_object(request, object_id)
        if not isinstance(sweep, Sweep):
            raise Http404(gettext("There is no such sweep."))
        return sweep

    @admin.display(description=_("began"))
    def started(self, sweep: Sweep) -> SafeString:
        """Show when it began."""
        return shown.instant(sweep.started_at)

    @admin.display(description=_("ended"))
    def finished(self, sweep: Sweep) -> SafeString:
        """Show when it ended."""
        return shown.instant(sweep.finished_at)

    @admin.display(description=_("state"))
    def shown_state(self, sweep: Sweep) -> SafeString:
        """Show the state by sign, word and colour."""
        return _state(sweep)

    @admin.display(description=_("done"))
    def progress(self, sweep: Sweep) -> str:
        """Show how many are done with, of how many."""
        return f"{sweep.succeeded} / {_matched(sweep)}"


def told_of(sweep: Sweep) -> dict[str, Any]:
    """Return the figures of a sweep, as its page and its script show them."""
    dealt_with = sweep.succeeded + sweep.refused
    return {
        "running": sweep.state == Sweep.State.RUNNING,
        "state": str(_state(sweep)),
        "done": dealt_with,
        "most": max(sweep.matched, dealt_with, 1),
        "succeeded": sweep.succeeded,
        "refused": sweep.refused,
        "matched": _matched(sweep),
        "left": "?" if sweep.more else str(max(sweep.matched - dealt_with, 0)),
        "trouble": sweep.trouble,
        "waiting": _waiting(sweep),
    }


def _waiting(sweep: Sweep) -> str:
    """Say what is missing where nobody takes the next step."""
    now = as_django_keeps_it(datetime.now(UTC))
    if sweep.state != Sweep.State.RUNNING or now - sweep.due_at < OVERDUE:
        return ""
    return gettext(
        "Nobody has taken the next step, which is due: it is taken by a process that relays. "
        "Run: manage.py run_router_worker, or run_router_relay."
    )


def _matched(sweep: Sweep) -> str:
    return f"{sweep.matched}+" if sweep.more else str(sweep.matched)


def _titled(sweep: Sweep) -> str:
    if sweep.deed == Sweep.Deed.DISCARD:
        return gettext("Discarding dead letters")
    return gettext("Redriving dead letters")


def _state(sweep: Sweep) -> SafeString:
    """Show a state in the signs and colours that deliveries have."""
    looks = {"finished": "handled", "stopped": "discarded", "failed": "dead"}
    return shown.state(looks.get(sweep.state, sweep.state), sweep.get_state_display())
