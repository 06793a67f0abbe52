"""Where does a name on a page lead? Links between the pages of our tables."""

from __future__ import annotations

from urllib.parse import urlencode

from django.apps import apps
from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from taskrouting.models import Event

from . import searching, shown


def page_of(row: Model) -> str:
    """Return the address of the row's page."""
    return reverse(_name(type(row), "change"), args=[row.pk])


def list_of(model: type[Model], **terms: str) -> str:
    """Return the address of the list of ``model``, searched for ``terms``."""
    query = " ".join(searching.quoted(name, value) for name, value in terms.items())
    address = reverse(_name(model, "changelist"))
    return f"{address}?{urlencode({SEARCH_VAR: query})}" if query else address


def actions_of(row: Model) -> str:
    """Return the address that actions on the row are sent to."""
    return reverse(_name(type(row), "changelist"))


def story_of(event_id: str, source: str = "") -> str:
    """Return the address of the page that tells what happened to an event."""
    address = reverse(_name(Event, "story"), args=[quote(event_id)])
    return f"{address}?{urlencode({'source': source})}" if source else address


def conversation_of(correlation_id: str, after: int = 0) -> str:
    """Return the address of a conversation, or of its page behind row ``after``; of none: empty."""
    if not correlation_id:
        return ""
    address = reverse(_name(Event, "conversation"), args=[quote(correlation_id)])
    return f"{address}?{urlencode({'after': after})}" if after else address


def to_event(event_id: str, source: str, text: SafeString | None = None) -> SafeString:
    """Link an event's id, or ``text``, to its story."""
    if not event_id:
        return shown.code("")
    address = story_of(event_id, source)
    return format_html('<a href="{}">{}</a>', address, text or shown.code(event_id))


def to_conversation(correlation_id: str, text: SafeString | None = None) -> SafeString:
    """Link a correlation id, or ``text``, to everything that has it."""
    if not correlation_id:
        return shown.code("")
    address = conversation_of(correlation_id)
    return format_html('<a href="{}">{}</a>', address, text or shown.code(correlation_id))


def to_object(subject: str, request: HttpRequest, site: AdminSite) -> SafeString | str:
    """Link ``media.video/7`` to that object's page, where there is one that the user may view."""
    label, _, key = subject.partition("/")
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return subject
    shown_by = site._registry.get(model)
    if not key or shown_by is None or not shown_by.has_view_or_change_permission(request):
        return subject
    address = reverse(_name(model, "change"), args=[quote(key)], current_app=site.name)
    return format_html('<a href="{}">{}</a>', address, subject)


def _name(model: type[Model], page: str) -> str:
    return f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
