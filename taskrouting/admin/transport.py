"""How are waiting messages and the embedded broker's bindings shown?"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from taskrouting import conf
from taskrouting.models import Binding, Message

from . import filters, shown
from .content import CONTENT, ContentAdmin
from .exporting import ExportAdmin
from .record import RecordAdmin


@admin.register(Message)
class MessageAdmin(ContentAdmin, ExportAdmin):
    """What waits in the database: outbox, ``django://`` queues, retries and leases."""

    list_display = ("created", "routing_key", "place", "due", "deliveries", "brief_event")
    list_display_links = ("created", "routing_key")
    list_filter = (filters.WaitingQueueFilter, filters.DueFilter)
    searched = {"event": "event_id", "key": "routing_key", "queue": "queue"}
    clock = "created_at"
    unlisted = ("body", "headers", "properties")
    fieldsets = (
        (None, {"fields": ("routing_key", "exchange", "event", "source")}),
        (_("Where to"), {"fields": ("queue", "subscription", "priority")}),
        (_("When"), {"fields": ("created", "due", "deliveries")}),
        (_("Who"), {"fields": ("token", "claim")}),
        CONTENT,
    )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say which outboxes are not shown here."""
        settings = conf.current()
        others = [each for each in settings.outbox_databases if each != settings.database]
        about = gettext(
            "What waits in database “%(shown)s”. The outbox of %(others)s is not shown here."
        ) % {"shown": settings.database, "others": ", ".join(f"“{each}”" for each in others)}
        told = {"about": about} if others else {}
        return super().changelist_view(request, {**told, **(extra_context or {})})

    @admin.display(description=_("put at"))
    def created(self, message: Message) -> SafeString:
        """Show when it was put here."""
        return shown.instant(message.created_at)

    @admin.display(description=_("due at"))
    def due(self, message: Message) -> SafeString:
        """Show when it may be taken (again)."""
        return shown.instant(message.available_at)


@admin.register(Binding)
class BindingAdmin(RecordAdmin):
    """Which queue of the embedded broker wants what."""

    list_display = ("pattern", "queue", "exchange")
    list_filter = (filters.QueueFilter,)
    searched = {"pattern": "pattern", "queue": "queue", "exchange": "exchange"}
    about = _(
        "Bindings of the embedded broker (django://), and of other programs that use it. A binding "
        "without an exchange records that the queue exists."
    )
    fieldsets = ((None, {"fields": ("exchange", "pattern", "queue")}),)
