"""How is the record shown? A list of events, and what is kept of each on its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from taskrouting import topics
from taskrouting.audit import keys
from taskrouting.models import AuditLog

from . import filters, links, shown
from .exporting import ExportAdmin
from .record import Rows, knowing
from .searching import TIMES, Term
from .walking import Path

#: Routing keys that are looked through for those that a pattern matches, and runs of the index
#: that are merged. Where there are more, a limited number of rows is looked at instead.
MOST_KEYS = 2_000
MOST_BRANCHES = 100

#: What the indexes know, the most telling first.
_INDEXED = ({"correlation"}, {"cause"}, {"subject"}, set(TIMES), {"key"})


@admin.register(AuditLog)
class AuditLogAdmin(ExportAdmin):
    """What happened; the story of each event has a page of its own (``event.py``)."""

    list_display = ("when", "routing_key", "subject", "actor", "brief_event", "brief_conversation")
    list_display_links = ("when", "routing_key")
    list_filter = (filters.OccurredFilter, filters.PatternFilter)
    searched = {
        "event": "event_id",
        "key": "routing_key",
        "correlation": "correlation_id",
        "cause": "causation_id",
        "subject": "subject",
        "actor": "actor",
    }
    clock = "occurred_at"
    unlisted = ("data", "extensions")
    fieldsets = (
        (None, {"fields": ("routing_key", "subject", "actor", "event", "source")}),
        (_("When"), {"fields": ("when", "relayed", "recorded")}),
        (_("Why"), {"fields": ("conversation", "caused_by", "traceparent")}),
        (_("What"), {"fields": ("shown_data", "shown_extensions")}),
    )
    change_form_template = "admin/taskrouting/auditlog/change_form.html"

    def timed(self, rows: Rows, term: Term) -> Term:
        """Ask for when it happened, which has an index, and not for when it was recorded."""
        than = "gte" if term.name == "after" else "lt"
        return replace(term, lookups={f"occurred_at__{than}": term.value})

    def path(self, request: HttpRequest, asked: Sequence[Term]) -> Path:
        """Walk along the index of the subject, of the time or of the routing key.

        Or of a conversation, or of what one event caused: either may be a million events.
        """
        names = {term.name for term in asked}
        rows = self.listed(self.get_queryset(request))
        for indexed in () if "event" in names else _INDEXED:
            if names & indexed:
                known = knowing(rows, (term for term in asked if term.name in indexed))
                clock = "occurred_at" if indexed & set(TIMES) else ""
                return Path(
                    branches=(known,), knows=frozenset(indexed), clock=clock, apart=not clock
                )
        if "pattern" in names:
            return _by_keys(rows, asked)
        return super().path(request, asked)

    def told_of(self, request: HttpRequest, row: Model) -> dict[str, Any]:
        """Lead to the event's story."""
        assert isinstance(row, AuditLog)  # noqa: S101  # for the type checker
        address = links.story_of(row.event_id, row.source)
        return {**super().told_of(request, row), "story_address": address}

    @admin.display(description=_("occurred at"))
    def when(self, entry: AuditLog) -> SafeString:
        """Show when it happened."""
        return shown.instant(entry.occurred_at)

    @admin.display(description=_("relayed at"))
    def relayed(self, entry: AuditLog) -> SafeString:
        """Show when the relay handed it to the broker."""
        return shown.instant(entry.relayed_at)

    @admin.display(description=_("recorded at"))
    def recorded(self, entry: AuditLog) -> SafeString:
        """Show when this row was written."""
        return shown.instant(entry.recorded_at)

    @admin.display(description=_("event id"))
    def event(self, entry: AuditLog) -> SafeString:
        """Show the id in one piece."""
        return shown.code(entry.event_id)

    @admin.display(description=_("event id"))
    def brief_event(self, entry: AuditLog) -> SafeString:
        """Link to the event's story, in little room."""
        return links.to_event(entry.event_id, entry.source, shown.brief(entry.event_id))

    @admin.display(description=_("conversation"))
    def brief_conversation(self, entry: AuditLog) -> SafeString:
        """Link to the conversation, in little room."""
        return links.to_conversation(entry.correlation_id, shown.brief(entry.correlation_id))

    @admin.display(description=_("conversation"))
    def conversation(self, entry: AuditLog) -> SafeString:
        """Link to everything that followed from the same beginning."""
        return links.to_conversation(entry.correlation_id)

    @admin.display(description=_("caused by"))
    def caused_by(self, entry: AuditLog) -> SafeString:
        """Link to the event whose handler published this one."""
        return links.to_event(entry.causation_id, "")

    @admin.display(description=_("data"))
    def shown_data(self, entry: AuditLog) -> SafeString:
        """Show the data, readable."""
        return shown.json_block(entry.data, _("data"))

    @admin.display(description=_("extensions"))
    def shown_extensions(self, entry: AuditLog) -> SafeString:
        """Show the other attributes, readable."""
        return shown.json_block(entry.extensions, _("extensions"))


def _by_keys(rows: Rows, asked: Sequence[Term]) -> Path:
    """Merge the runs of the index for the routing keys that a pattern matches."""
    plain = Path(branches=(rows,))
    if [term.name for term in asked] != ["pattern"]:
        return plain
    known = keys.recorded(MOST_KEYS)
    if known is None:
        return plain
    found = [key for key in known if topics.matches(asked[0].value, key)]
    if len(found) > MOST_BRANCHES:
        return plain
    runs = tuple(rows.filter(routing_key=key) for key in found)
    return Path(branches=runs or (rows.none(),), knows=frozenset({"pattern"}), apart=True)
