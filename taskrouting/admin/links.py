"""Where does a name on a page lead? Links between the pages of our tables."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from taskrouting.models import AuditLog

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


def to_event(event_id: str, source: str, text: SafeString | None = None) -> SafeString:
    """Link an event's id, or ``text``, to its page in the audit log."""
    if not event_id:
        return shown.code("")
    query = urlencode({"id": event_id, "source": source})
    address = f"{reverse(_name(AuditLog, 'event'))}?{query}"
    return format_html('<a href="{}">{}</a>', address, text or shown.code(event_id))


def to_conversation(correlation_id: str, text: SafeString | None = None) -> SafeString:
    """Link a correlation id, or ``text``, to everything in the audit log that has it."""
    if not correlation_id:
        return shown.code("")
    address = list_of(AuditLog, correlation=correlation_id)
    return format_html('<a href="{}">{}</a>', address, text or shown.code(correlation_id))


def _name(model: type[Model], page: str) -> str:
    return f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
