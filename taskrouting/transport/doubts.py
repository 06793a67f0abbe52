"""What may be claimed without our knowing? A database may go away before it answers.

Such a claim belongs to nobody, and would hold until it lapses.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from django.db import DatabaseError, InterfaceError

from . import store

#: Alias, queue and claim.
_open: list[tuple[str, str, UUID]] = []


def claim(queue: str, limit: int, lease: timedelta, *, using: str) -> list[store.Claimed]:
    """Claim as ``store.claim`` does; remember the claim when there is no answer."""
    mine = uuid4()
    try:
        return store.claim(queue, limit, lease, using=using, mine=mine)
    except (DatabaseError, InterfaceError):
        _open.append((using, queue, mine))
        raise


def end() -> None:
    """Give back whatever was claimed without an answer."""
    while _open:
        alias, queue, mine = _open[0]
        store.abandon(queue, mine, using=alias)
        _open.pop(0)
