"""Which pages and actions of ours are there? Found in Django, so that no new one is forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from taskrouting.models import AuditLog

APP = "taskrouting"


@dataclass(frozen=True, slots=True)
class Page:
    """An address that shows something of ours, or does something."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Action:
    """What can be done with rows of a table, and the permissions it names."""

    name: str
    model: type[Model]
    needs: tuple[str, ...]


def pages(rows: dict[type[Model], Model]) -> list[Page]:
    """Every page of ours that any address leads to; ``rows`` has a row for those that show one."""
    found = [_page(route, pattern, rows) for route, pattern in _patterns(get_resolver(), "/")]
    index = Page("index", reverse("admin:app_list", args=[APP]))
    return [index, *(page for page in found if page)]


def actions() -> list[Action]:
    """Every action that a list of ours may offer to anybody."""
    ours = [model for model in admin.site._registry if model._meta.app_label == APP]
    ours = [model for model in ours if not model._meta.proxy]  # a page without rows has none
    offered = [(model, admin.site.get_model_admin(model)._get_base_actions()) for model in ours]
    return [
        Action(name, model, tuple(getattr(run, "allowed_permissions", ())))
        for model, found in offered
        for run, name in map(_run_and_name, found)
    ]


def _run_and_name(action: object) -> tuple[object, str]:
    """Read what Django offers: a plain tuple at first, later an object with these names."""
    if hasattr(action, "func") and hasattr(action, "name"):
        return action.func, action.name
    run, name, _ = action  # type: ignore[misc]  # the tuple of old
    return run, name


def powers() -> set[str]:
    """The permissions to do something that we have made, beside Django's own."""
    models = apps.get_app_config(APP).get_models()
    return {codename for model in models for codename, _ in model._meta.permissions}


def edits() -> set[str]:
    """Django's permissions to add, change and delete rows of ours."""
    codenames = Permission.objects.filter(content_type__app_label=APP)
    return {each for each in codenames.values_list("codename", flat=True)
            if each.startswith(("add_", "change_", "delete_"))}  # fmt: skip


def everything() -> dict[str, list[dict[str, Any]]]:
    """Every value in every table of ours."""
    return {
        model.__name__: list(model._default_manager.order_by("pk").values())
        for model in apps.get_app_config(APP).get_models()
    }


def _patterns(resolver: URLResolver, before: str) -> Iterator[tuple[str, URLPattern]]:
    """Walk down from the root; yield each address as it is written, and its pattern."""
    for each in resolver.url_patterns:
        route = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _patterns(each, route)
        else:
            yield route, each


def _page(route: str, pattern: URLPattern, rows: dict[type[Model], Model]) -> Page | None:
    shown = getattr(pattern.callback, "model_admin", None)
    view = getattr(pattern.callback, "view_class", pattern.callback)
    if not (type(shown).__module__ if shown else view.__module__).startswith(APP):
        return None
    known = {"object_id": rows[shown.model._meta.concrete_model].pk} if shown else {}
    entry: Any = rows[AuditLog]
    known |= {"event_id": quote(entry.event_id), "correlation_id": quote(entry.correlation_id)}
    return Page(pattern.name or route, _filled(route, known))


def _filled(route: str, known: dict[str, Any]) -> str:
    """Put values into an address; a KeyError names what this walk has no value for."""
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda part: str(known[part[1]]), route)
