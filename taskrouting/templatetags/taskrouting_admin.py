"""Which events does the page of an object lead to? The tag behind "Events" beside "History"."""

from __future__ import annotations

from typing import Any

from django import template
from django.db.models import Model
from django.urls import NoReverseMatch

from taskrouting.admin import links, reading
from taskrouting.admin.searching import exactly
from taskrouting.models import AuditLog
from taskrouting.publishing import declarations

register = template.Library()


@register.inclusion_tag("admin/taskrouting/object_events.html", takes_context=True)
def events_of_object(context: template.Context) -> dict[str, Any]:
    """Link to the events of the object that the page shows, for those who may view the audit log.

    There is a link where ``@publishes`` is declared for the model, or an event has the object as
    its subject; that is looked up in an index.
    """
    instance, request = context.get("original"), context.get("request")
    if not isinstance(instance, Model) or instance.pk is None or request is None:
        return {"addresses": []}
    if not reading.may_view(request, AuditLog):
        return {"addresses": []}
    try:
        return {"addresses": [links.list_of(AuditLog, subject=s) for s in _subjects(instance)]}
    except NoReverseMatch:  # an admin site that does not show our tables
        return {"addresses": []}


def _subjects(instance: Model) -> list[str]:
    """Name the object as its events do."""
    declared = declarations.subjects_of(instance)
    if declared:
        return declared
    usual = declarations.usual_subject(instance)
    found = reading.recorded().filter(exactly("subject", usual))
    return [usual] if found.exists() else []
