"""How does it become known that somebody took a copy? Whoever exports rows leaves an event."""

from __future__ import annotations

from django.db import transaction

from taskrouting import conf

from .telling import EXPORTED, acting, tell


def tell_of_export(listed: str, chosen: str, form: str, *, actor: str | None = None) -> None:
    """Tell that the rows of a list are being exported: ``chosen`` is its address's query."""
    with acting(actor), transaction.atomic(using=conf.current().database):
        tell(EXPORTED, {"list": listed, "chosen": chosen, "format": form})
