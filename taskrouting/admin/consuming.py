"""How are the ledger's deliveries shown?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from taskrouting.models import Delivery

from . import attempts, filters, shown
from .actions import RedriveAdmin
from .exporting import ExportAdmin
from .record import knowing
from .searching import Term
from .walking import Path


@admin.register(Delivery)
class DeliveryAdmin(RedriveAdmin, ExportAdmin):
    """What became of each event for each subscription."""

    list_display = (
        "received", "routing_key", "place", "shown_state", "attempts", "took", "brief_event",
    )  # fmt: skip
    list_display_links = ("received", "routing_key")
    list_filter = (filters.StateFilter, filters.SubscriptionFilter, filters.QueueFilter)
    clock = "received_at"
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

    def path(self, request: HttpRequest, asked: Sequence[Term]) -> Path:
        """Take what is not handled from its index: that is little, and may be anywhere."""
        states = [term for term in asked if term.name == "state"]
        plain = super().path(request, asked)
        if not states or states[0].value == Delivery.State.HANDLED or not plain.branches:
            return plain
        known = [term for term in asked if term.name in ("state", "subscription")]
        (rows,) = plain.branches
        rows = knowing(rows, known)
        knows = plain.knows | {"state", "subscription"}
        return Path(branches=(rows,), knows=knows, scattered=True)

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
        return attempts.duration_of(delivery)

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
        errors = attempts.errors_of(delivery)
        if not errors:
            return shown.NOTHING
        return render_to_string("admin/taskrouting/errors.html", {"errors": errors})
