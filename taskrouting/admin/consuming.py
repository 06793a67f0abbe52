"""How are the ledger's deliveries and the worker processes shown?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.contrib import admin
from django.db.models import Model
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from taskrouting import conf
from taskrouting.models import Delivery, WorkerProcess

from . import filters, shown, story
from .actions import RedriveAdmin
from .record import RecordAdmin


@admin.register(Delivery)
class DeliveryAdmin(RedriveAdmin):
    """What became of each event for each subscription."""

    list_display = (
        "received", "routing_key", "place", "shown_state", "attempts", "took", "brief_event",
    )  # fmt: skip
    list_display_links = ("received", "routing_key")
    list_filter = ("state", filters.SubscriptionFilter, filters.QueueFilter)
    unlisted = ("errors", "result")
    fieldsets = (
        (None, {"fields": ("routing_key", "subscription", "queue", "event", "source")}),
        (
            _("State"),
            {"fields": ("shown_state", "attempts", "crashes", "suspect", "worker", "token")},
        ),
        (_("When"), {"fields": ("received", "started", "finished", "took")}),
        (_("Outcome"), {"fields": ("shown_result", "shown_errors")}),
    )

    def possible(self, row: Model) -> Iterable[str]:
        """Offer to redrive what is dead."""
        dead = isinstance(row, Delivery) and row.state == Delivery.State.DEAD
        return ("redrive",) if dead else ()

    @admin.display(description=_("received at"))
    def received(self, delivery: Delivery) -> SafeString:
        """Show when its first copy arrived."""
        return shown.instant(delivery.received_at)

    @admin.display(description=_("last attempt began"))
    def started(self, delivery: Delivery) -> SafeString:
        """Show when the last attempt began."""
        return shown.instant(delivery.started_at)

    @admin.display(description=_("finished at"))
    def finished(self, delivery: Delivery) -> SafeString:
        """Show when there was an outcome."""
        return shown.instant(delivery.finished_at)

    @admin.display(description=_("last attempt took"))
    def took(self, delivery: Delivery) -> str:
        """Show how long the last attempt took."""
        return story.duration_of(delivery)

    @admin.display(description=_("state"))
    def shown_state(self, delivery: Delivery) -> SafeString:
        """Show the state as sign, word and colour."""
        return shown.state(delivery.state, delivery.get_state_display())

    @admin.display(description=_("result"))
    def shown_result(self, delivery: Delivery) -> SafeString:
        """Show what the handler returned."""
        return shown.json_block(delivery.result, _("result"))

    @admin.display(description=_("errors"))
    def shown_errors(self, delivery: Delivery) -> str:
        """Show every failed attempt that is remembered, with its traceback."""
        errors = story.errors_of(delivery)
        if not errors:
            return shown.NOTHING
        return render_to_string("admin/taskrouting/errors.html", {"errors": errors})


@admin.register(WorkerProcess)
class WorkerProcessAdmin(RecordAdmin):
    """Who works, and who has fallen silent."""

    list_display = ("name", "host", "pid", "version", "shown_queues", "threads", "seen", "alive")
    searched = {"name": "name", "host": "host"}
    fieldsets = (
        (None, {"fields": ("name", "host", "pid", "version")}),
        (_("Work"), {"fields": ("shown_queues", "threads")}),
        (_("When"), {"fields": ("started", "seen", "alive")}),
    )

    @admin.display(description=_("queues"))
    def shown_queues(self, worker: WorkerProcess) -> str:
        """Show the queues in one line."""
        queues = worker.queues if isinstance(worker.queues, list) else []
        return ", ".join(str(queue) for queue in queues) or shown.NOTHING

    @admin.display(description=_("started at"))
    def started(self, worker: WorkerProcess) -> SafeString:
        """Show when it started."""
        return shown.instant(worker.started_at)

    @admin.display(description=_("last heartbeat"))
    def seen(self, worker: WorkerProcess) -> SafeString:
        """Show when it last said that it lives."""
        return shown.instant(worker.seen_at)

    @admin.display(description=_("alive"))
    def alive(self, worker: WorkerProcess) -> SafeString:
        """Show whether it beat within a lease; it beats three times in each."""
        now = timezone.now() if timezone.is_aware(worker.seen_at) else datetime.now()
        silent = now - worker.seen_at
        if silent <= conf.current().lease:
            return shown.state("handled", gettext("alive"))
        text = gettext("silent for %(time)s") % {"time": shown.duration(silent)}
        return shown.state("dead", text)
