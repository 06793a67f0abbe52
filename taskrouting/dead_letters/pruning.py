"""Which dead letters may be forgotten? Those that somebody has resolved, after a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now

from taskrouting import conf

from .models import DeadLetter

#: Rows deleted by one statement, so that nobody waits long for a lock.
BATCH = 500


def prune(older_than: timedelta) -> int:
    """Delete dead letters resolved longer ago than that; return how many. Open ones stay."""
    letters = DeadLetter.objects.using(conf.current().database)
    return delete_in_batches(letters.filter(resolved_at__lt=Now() - older_than))


def delete_in_batches(rows: QuerySet[Any]) -> int:
    """Delete ``rows``, oldest first, each batch in a transaction of its own; return how many."""
    deleted, last = 0, 0
    while True:
        found = rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]
        keys = list(found)
        if not keys:
            return deleted
        last = keys[-1]
        deleted += rows.filter(pk__in=keys).delete()[0]
