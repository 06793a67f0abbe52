"""Is it the handler's failure, or the installation's? Only the former counts as an attempt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connections

from taskrouting import conf
from taskrouting.exceptions import BrokerUnavailable

T = TypeVar("T")

#: SQLSTATEs of a deadlock and of a serialization failure: trying again is the cure.
CONFLICTS = {"40P01", "40001"}

#: How often a transaction that met a conflict is tried before we wait for quieter times.
TRIES = 5


class DatabaseAway(ConnectionError):
    """The database is away; nothing was recorded and nothing is counted."""


def is_conflict(error: BaseException) -> bool:
    """Say whether two transactions got in each other's way."""
    if not isinstance(error, OperationalError):
        return False
    cause = error.__cause__
    return getattr(cause, "sqlstate", None) in CONFLICTS or "database is locked" in str(error)


def is_outage(error: BaseException) -> bool:
    """Say whether ``error`` came about because the database or the broker is away."""
    if isinstance(error, BrokerUnavailable | DatabaseAway):
        return True
    return isinstance(error, OperationalError | InterfaceError) and not _usable()


def resolutely(work: Callable[[], T]) -> T:
    """Run a transaction; try again on a conflict; raise DatabaseAway where the database is away.

    Any other error passes. ``work`` must leave nothing behind when it fails.
    """
    for _ in range(TRIES):
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            if is_conflict(error):
                conflict = error
                continue
            if is_outage(error):
                raise DatabaseAway(str(error)) from error
            raise
    raise DatabaseAway(f"no way through {TRIES} conflicts: {conflict}") from conflict


def _usable() -> bool:
    """Ask the database of the ledger whether it answers on this thread's connection."""
    connection = connections[conf.current().database]
    return connection.connection is not None and connection.is_usable()
