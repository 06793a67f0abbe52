"""How are the worker processes shown? Who works, on what, and who has fallen silent.

One may be asked to stop or to make room for a fresh one: it looks every few seconds, and finishes
what it has begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from taskrouting import conf, operators
from taskrouting.consuming import presence
from taskrouting.models import WorkerProcess

from . import links, shown
from .actions import actor_of
from .record import RecordAdmin, Rows
from .searching import as_django_keeps_it

#: Running deliveries that a worker's page shows.
MOST_RUNNING = 50

#: What the actions do.
ABOUT = _(
    "Restart: the process takes nothing more, finishes what it has begun, and a fresh one takes "
    "its place. Stop: the same, and none takes its place; when its last process has stopped, the "
    "command run_router_worker ends."
)


@admin.register(WorkerProcess)
class WorkerProcessAdmin(RecordAdmin):
    """Who works, and who has fallen silent."""

    actions = ("restart", "stop")
    list_display = (
        "host", "pid", "alive", "shown_queues", "shown_busy", "held", "shown_memory", "started",
        "version",
    )  # fmt: skip
    list_display_links = ("host", "pid")
    searched = {"name": "name", "host": "host"}
    fieldsets = (
        (None, {"fields": ("name", "host", "pid", "version")}),
        (_("State"), {"fields": ("alive", "asked", "started", "seen"), "description": ABOUT}),
        (_("Work"), {"fields": ("shown_queues", "shown_busy", "held", "shown_memory")}),
        (_("Running deliveries"), {"fields": ("running",)}),
    )
    about = ABOUT
    unlinked: ClassVar[Mapping[str, str]] = {"running": "running_alone"}

    class Media:
        css: ClassVar[Mapping[str, Any]] = {"all": ["taskrouting/operating.css"]}

    @admin.action(description=_("Restart"), permissions=["stop"])
    def restart(self, request: HttpRequest, queryset: Rows) -> None:
        """Ask the ticked processes to make room for fresh ones."""
        count = _ask(request, queryset, operators.restart)
        words = ngettext(
            "%(count)d process is asked to make room for a fresh one.",
            "%(count)d processes are asked to make room for fresh ones.",
            count,
        )
        _tell(request, words, count, len(queryset))

    @admin.action(description=_("Stop"), permissions=["stop"])
    def stop(self, request: HttpRequest, queryset: Rows) -> None:
        """Ask the ticked processes to stop for good."""
        count = _ask(request, queryset, operators.stop)
        words = ngettext(
            "%(count)d process is asked to stop.", "%(count)d processes are asked to stop.", count
        )
        _tell(request, words, count, len(queryset))

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """Seeing a process is not the right to stop it."""
        return request.user.has_perm("taskrouting.stop_workerprocess")

    def possible(self, row: Model) -> Iterable[str]:
        """Offer what it was not asked for yet, while it lives."""
        if not isinstance(row, WorkerProcess) or not _hears(row):
            return ()
        return [name for name in self.actions if name != row.order]

    @admin.display(description=_("queues"))
    def shown_queues(self, worker: WorkerProcess) -> str:
        """Show the queues in one line."""
        queues = worker.queues if isinstance(worker.queues, list) else []
        return ", ".join(str(queue) for queue in queues) or shown.NOTHING

    @admin.display(description=_("threads busy"))
    def shown_busy(self, worker: WorkerProcess) -> str:
        """Show how many of its threads ran handlers at the last heartbeat."""
        busy = "?" if worker.busy is None else worker.busy
        return gettext("%(busy)s of %(threads)s") % {"busy": busy, "threads": worker.threads}

    @admin.display(description=_("in hand"))
    def held(self, worker: WorkerProcess) -> str:
        """Show how many messages it had taken and not settled at the last heartbeat."""
        return shown.NOTHING if worker.in_hand is None else str(worker.in_hand)

    @admin.display(description=_("memory"))
    def shown_memory(self, worker: WorkerProcess) -> str:
        """Show its resident memory."""
        return shown.NOTHING if worker.memory is None else filesizeformat(worker.memory)

    @admin.display(description=_("started at"))
    def started(self, worker: WorkerProcess) -> SafeString:
        """Show when it started."""
        return shown.instant(worker.started_at)

    @admin.display(description=_("last heartbeat"))
    def seen(self, worker: WorkerProcess) -> SafeString:
        """Show when it last said that it lives."""
        return shown.instant(worker.seen_at)

    @admin.display(description=_("state"))
    def alive(self, worker: WorkerProcess) -> SafeString:
        """Show whether it beat within a lease, three times in each; and what it was asked for."""
        silent = _silence(worker)
        if not _hears(worker):
            text = gettext("silent for %(time)s") % {"time": shown.duration(silent)}
            return shown.state("dead", text)
        text = gettext("alive, heard %(time)s ago") % {"time": shown.duration(silent)}
        state = shown.state("handled", text)
        return format_html("{}<br>{}", state, self.asked(worker)) if worker.order else state

    @admin.display(description=_("asked to"))
    def asked(self, worker: WorkerProcess) -> SafeString | str:
        """Show what an operator has asked of it."""
        if not worker.order:
            return shown.NOTHING
        told = {"order": worker.get_order_display(), "actor": worker.ordered_by or "?"}
        return shown.state("pending", gettext("asked to %(order)s by %(actor)s") % told)

    @admin.display(description=_("running deliveries"))
    def running(self, worker: WorkerProcess) -> str:
        """Show the deliveries that it runs under a lease, the oldest first."""
        return _running(
            worker, lambda row: links.to_event(row.event_id, row.source, shown.brief(row.event_id))
        )

    @admin.display(description=_("running deliveries"))
    def running_alone(self, worker: WorkerProcess) -> str:
        """Show them with the ids of their events alone."""
        return _running(worker, lambda row: shown.brief(row.event_id))


def _running(worker: WorkerProcess, event: Callable[[Any], SafeString]) -> str:
    rows = presence.running(worker, MOST_RUNNING + 1)
    told = [
        {
            "row": row,
            "address": links.page_of(row),
            "event": event(row),
            "age": shown.duration(_ago(row.started_at)) if row.started_at else shown.NOTHING,
        }
        for row in rows[:MOST_RUNNING]
    ]
    more = len(rows) > MOST_RUNNING
    template = "admin/taskrouting/worker_running.html"
    return render_to_string(template, {"deliveries": told, "more": more})


def _ask(request: HttpRequest, rows: Rows, ask: Callable[..., bool]) -> int:
    """Ask each of the processes that would hear it; return how many are asked now."""
    actor = actor_of(request)
    return sum(ask(row, actor=actor) for row in rows if _hears(row))


def _tell(request: HttpRequest, words: str, count: int, ticked: int) -> None:
    if count:
        messages.success(request, words % {"count": count})
    if alone := ticked - count:
        text = ngettext(
            "%(count)d was asked before, or is silent or gone.",
            "%(count)d were asked before, or are silent or gone.",
            alone,
        )
        messages.warning(request, text % {"count": alone})


def _silence(worker: WorkerProcess) -> timedelta:
    """How long it has not been heard."""
    return max(_ago(worker.seen_at), timedelta(0))


def _hears(worker: Any) -> bool:
    """Whether it beat within a lease; it beats three times in each."""
    return _silence(worker) <= conf.current().lease


def _ago(when: datetime) -> timedelta:
    return as_django_keeps_it(datetime.now(UTC)) - when
