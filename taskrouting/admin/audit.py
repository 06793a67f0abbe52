"""How is the record shown? A list of events, and the whole story of each on its page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from taskrouting.models import AuditLog

from . import filters, links, shown, story
from .record import RecordAdmin


@admin.register(AuditLog)
class AuditLogAdmin(RecordAdmin):
    """What happened, and everything that followed from it."""

    list_display = ("when", "routing_key", "subject", "actor", "brief_event", "brief_conversation")
    list_display_links = ("when", "routing_key")
    list_filter = (filters.OccurredFilter, filters.PatternFilter)
    searched = {
        "event": "event_id",
        "key": "routing_key",
        "correlation": "correlation_id",
        "cause": "causation_id",
        "subject": "subject",
    }
    unlisted = ("data", "extensions")
    fieldsets = (
        (None, {"fields": ("routing_key", "subject", "actor", "event", "source")}),
        (_("When"), {"fields": ("when", "relayed", "recorded")}),
        (_("Why"), {"fields": ("conversation", "caused_by", "traceparent")}),
        (_("What"), {"fields": ("shown_data", "shown_extensions")}),
    )
    change_form_template = "admin/taskrouting/auditlog/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the address that finds an event by what identifies it."""
        found = self.admin_site.admin_view(self.event_view)
        return [path("event/", found, name="taskrouting_auditlog_event"), *super().get_urls()]

    def event_view(self, request: HttpRequest) -> HttpResponseRedirect:
        """Go to the page of the event that ``id`` and ``source`` name."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        event_id, source = request.GET.get("id", ""), request.GET.get("source", "")
        events = self.get_queryset(request).filter(event_id=event_id).only("pk")
        event = events.filter(source=source).first() or (None if source else events.first())
        if event is not None:
            return HttpResponseRedirect(links.page_of(event))
        text = gettext("Event %(id)s is not in the audit log: not recorded yet, or pruned.")
        messages.warning(request, text % {"id": event_id})
        return HttpResponseRedirect(links.list_of(AuditLog, event=event_id))

    def told_of(self, request: HttpRequest, row: Model) -> dict[str, Any]:
        """Tell the event's story below its columns."""
        assert isinstance(row, AuditLog)  # noqa: S101  # for the type checker
        return {**super().told_of(request, row), "story": story.of_event(row, request)}

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
        """Show the end of the id."""
        return shown.brief(entry.event_id)

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
