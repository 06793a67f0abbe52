"""What may this user read? Rows of our tables, or ``None`` where they may not view the table."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.http import HttpRequest

from taskrouting import conf
from taskrouting.models import AuditLog

#: Columns that are not needed to tell an event from others.
LARGE = ("data", "extensions")


def may_view(request: HttpRequest, model: type[Model]) -> bool:
    """Say whether the user may view the table of ``model``."""
    return request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}")


def rows_of(model: type[Model], using: str | None = None) -> Any:
    """Return the rows of ``model`` in the ledger's database, or in another one."""
    return model._default_manager.using(using or conf.current().database)


def recorded() -> Any:
    """Return the rows of the audit log without what is large in them."""
    return rows_of(AuditLog).defer(*LARGE)
