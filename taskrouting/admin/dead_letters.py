"""How are dead letters shown, and what may be done with them?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Model
from django.db.models.functions import Right
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from taskrouting.models import DeadLetter, Delivery

from . import filters, links, shown
from .actions import DiscardAdmin
from .content import CONTENT, ContentAdmin
from .exporting import ExportAdmin
from .record import Rows, knowing
from .searching import Term
from .sweeping import SweepingAdmin
from .walking import Path

#: What groups of open dead letters have in common.
GROUPED = frozenset({"queue", "subscription", "cause"})

#: Characters at the end of an error that a list reads: its last line says what was wrong.
END_OF_ERROR = 400
LONGEST_LINE = 140


@admin.register(DeadLetter)
class DeadLetterAdmin(ContentAdmin, SweepingAdmin, DiscardAdmin, ExportAdmin):
    """What was given up on, until somebody redrives or discards it."""

    list_display = ("created", "routing_key", "why", "place", "brief_event", "state")
    list_display_links = ("created", "routing_key")
    list_filter = (
        filters.ResolutionFilter, filters.ReasonFilter, filters.QueueFilter,
        filters.SubscriptionFilter, filters.CauseFilter,
    )  # fmt: skip
    clock = "created_at"
    unlisted = ("body", "headers", "properties", "error")
    fieldsets = (
        (None, {"fields": ("routing_key", "shown_reason", "shown_error")}),
        (_("Where"), {"fields": ("queue", "subscription", "exchange", "of_delivery")}),
        (_("Event"), {"fields": ("event", "source")}),
        (_("State"), {"fields": ("created", "state", "resolved", "note")}),
        CONTENT,
    )

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Leave the state out where all that are listed are open: the room is scarce."""
        names = super().get_list_display(request)
        asked = request.GET.get("resolution") or ("all" if request.GET.get(SEARCH_VAR) else "open")
        return [name for name in names if name != "state" or asked != "open"]

    def listed(self, rows: Rows) -> Rows:
        """Read only the end of each error."""
        listed: Rows = super().listed(rows).annotate(end_of_error=Right("error", END_OF_ERROR))
        return listed

    def path(self, request: HttpRequest, asked: Sequence[Term]) -> Path:
        """Walk along the open ones, or along a group of them."""
        plain = super().path(request, asked)
        names = {term.name for term in asked}
        if "open" not in names or not plain.branches:
            return plain
        known = {"open", *(GROUPED if names >= GROUPED else ())}
        (rows,) = plain.branches
        rows = knowing(rows, (term for term in asked if term.name in known))
        return Path(branches=(rows,), knows=plain.knows | known)

    def possible(self, row: Model) -> Iterable[str]:
        """Offer both for what is open."""
        is_open = isinstance(row, DeadLetter) and row.resolved_at is None
        return ("redrive", "discard") if is_open else ()

    @admin.display(description=_("since"))
    def created(self, letter: DeadLetter) -> SafeString:
        """Show when it was given up on."""
        return shown.instant(letter.created_at)

    @admin.display(description=_("resolved at"))
    def resolved(self, letter: DeadLetter) -> SafeString:
        """Show when it was closed."""
        return shown.instant(letter.resolved_at)

    @admin.display(description=_("state"))
    def state(self, letter: DeadLetter) -> SafeString:
        """Show whether it is open, or what was done."""
        return shown.resolution(letter)

    @admin.display(description=_("reason"))
    def shown_reason(self, letter: DeadLetter) -> str:
        """Say why it is here."""
        return letter.get_reason_display()

    @admin.display(description=_("reason"))
    def why(self, letter: Any) -> SafeString:
        """Show the reason, and below it the last line of the error."""
        line = Truncator(shown.last_line(letter.end_of_error)).chars(LONGEST_LINE)
        below = format_html('<span class="quiet taskrouting-line">{}</span>', line)
        return format_html("{}<br>{}", self.shown_reason(letter), below)

    @admin.display(description=_("error"))
    def shown_error(self, letter: DeadLetter) -> SafeString:
        """Show the whole error."""
        return shown.error_block(letter.error)

    @admin.display(description=_("delivery"))
    def of_delivery(self, letter: DeadLetter) -> SafeString:
        """Link to the delivery in the ledger; it may be pruned by now."""
        if letter.delivery is None:
            return shown.code("")
        address = links.page_of(Delivery(pk=letter.delivery))
        return format_html('<a href="{}">{}</a>', address, letter.delivery)
