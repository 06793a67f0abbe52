"""What happened to an event? A page for each, one for each conversation, and one that asks which.

::

    event/                              which event?
    event/<event id>/?source=…          its story
    event/conversation/<correlation>/   everything that followed from one beginning
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext

from taskrouting.models import AuditLog, Event

from . import conversation, links, reading, story, waterfall
from .asking import LAST_ROW, refuse_nul
from .pages import PageAdmin
from .searching import exactly


@admin.register(Event)
class EventAdmin(PageAdmin):
    """The stories of events."""

    template = "event_search.html"

    class Media:
        css: ClassVar[Mapping[str, Any]] = {"all": ["taskrouting/event.css"]}
        js: ClassVar[Any] = ["taskrouting/copy.js"]

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses of stories and conversations; ids are quoted as the admin does."""
        view, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        talk = view(self.conversation_view)
        return [
            *super().get_urls(),
            path("conversation/<str:correlation_id>/", talk, name=f"{name}_conversation"),
            path("<str:event_id>/", view(self.event_view), name=f"{name}_story"),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask which event, or go there."""
        refuse_nul(request)
        asked = request.GET.get("q", "").strip()
        if asked and self.has_view_permission(request):
            return HttpResponseRedirect(_meant(asked))
        return super().changelist_view(request, extra_context)

    def told(self, request: HttpRequest) -> dict[str, Any]:
        """Lead to the list of all."""
        return {"list_address": links.list_of(AuditLog)}

    def event_view(self, request: HttpRequest, event_id: str) -> HttpResponse:
        """Tell the story of one event."""
        self._may_be_told(request, event_id)
        source = request.GET.get("source", "")
        told = story.tell(unquote(event_id), source, request, self.admin_site)
        entry = told["entry"]
        title = gettext("Event %s") % entry.routing_key if entry else gettext("Event")
        return self.page(request, "event.html", {"title": title, "story": told})

    def conversation_view(self, request: HttpRequest, correlation_id: str) -> HttpResponse:
        """Show the events of one conversation, a page at a time."""
        self._may_be_told(request, correlation_id)
        correlation_id = unquote(correlation_id)
        after = request.GET.get("after", "")
        row = min(int(after), LAST_ROW) if after.isdecimal() and after.isascii() else 0
        events, more = conversation.page_of(correlation_id, row)
        nodes = conversation.tree(events, request, detailed=True)
        told = {
            "title": gettext("Conversation"),
            "correlation_id": correlation_id,
            "nodes": nodes,
            "waterfall": waterfall.of(nodes),
            "continued": bool(row),
            "next": links.conversation_of(correlation_id, events[-1].pk) if more else "",
            "first": links.conversation_of(correlation_id),
            "list_address": links.list_of(AuditLog, correlation=correlation_id),
        }
        return self.page(request, "conversation.html", told)

    def _may_be_told(self, request: HttpRequest, asked: str) -> None:
        """Refuse before anything is read."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        refuse_nul(request, unquote(asked))


def _meant(asked: str) -> str:
    """Return the address of what was asked for: an event, a conversation, or all of a subject."""
    known = reading.recorded()
    if not known.filter(event_id=asked).exists():
        if known.filter(exactly("correlation_id", asked)).exists():
            return links.conversation_of(asked)
        if known.filter(exactly("subject", asked)).exists():
            return links.list_of(AuditLog, subject=asked)
    return links.story_of(asked)
