"""Is it the handler's failure, or the installation's? Only the former counts as an attempt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from taskrouting import conf
from taskrouting.exceptions import BrokerUnavailable, TaskroutingError

from .models import Delivery

T = TypeVar("T")

#: SQLSTATEs of a deadlock and of a serialization failure: trying again is the cure.
CONFLICTS = {"40P01", "40001"}

#: Beginnings of the SQLSTATEs, and of SQLite's names, for what no handler can help: the disk is
#: full, memory or connections have run out, the system fails, the server only reads (a standby).
INABILITIES = (
    "53", "58", "25006", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY",
)  # fmt: skip

#: Beginnings of the SQLSTATEs of a lost connection; the drivers' own errors have none.
LOSSES = ("08", "57P")

#: How often a transaction that met a conflict is tried before we wait for quieter times.
TRIES = 5


class DatabaseAway(TaskroutingError):
    """The database is away; nothing was recorded and nothing is counted."""


def is_conflict(error: BaseException) -> bool:
    """Say whether two transactions got in each other's way."""
    if not isinstance(error, OperationalError):
        return False
    return _code(error) in CONFLICTS or "database is locked" in str(error)


def is_outage(error: BaseException) -> bool:
    """Say whether ``error`` came about because the database or the broker is away."""
    if isinstance(error, BrokerUnavailable | DatabaseAway):
        return True
    if isinstance(error, DatabaseError) and _code(error).startswith(INABILITIES):
        return True
    return isinstance(error, OperationalError | InterfaceError) and not _usable()


def ask_database() -> None:
    """Raise a database error unless the database of the ledger takes what we write."""
    Delivery.objects.using(conf.current().database).filter(pk=0).update(attempts=0)


@contextmanager
def outages_named() -> Iterator[None]:
    """Raise DatabaseAway where the database of the ledger goes away during the block.

    A short outage is over when we look: Django has opened another connection behind our back. So
    it is the very connection that was there at first that must be there still.
    """
    connection = connections[conf.current().database]
    held = None
    try:
        connection.ensure_connection()
        held = connection.connection
        yield
    except (DatabaseError, InterfaceError) as error:
        if is_outage(error) or (_is_loss(error) and connection.connection is not held):
            raise DatabaseAway(str(error)) from error
        raise


def resolutely(work: Callable[[], T]) -> T:
    """Run a transaction; try again on a conflict; raise DatabaseAway where the database is away.

    Any other error passes. ``work`` must leave nothing behind when it fails.
    """
    for _ in range(TRIES):
        try:
            with outages_named():
                return work()
        except OperationalError as error:
            if not is_conflict(error):
                raise
            conflict = error
    raise DatabaseAway(f"no way through {TRIES} conflicts: {conflict}") from conflict


def _is_loss(error: BaseException) -> bool:
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return not _code(error) or _code(error).startswith(LOSSES)


def _code(error: BaseException) -> str:
    """Read the SQLSTATE, or SQLite's name of the error; empty where the driver gives none."""
    cause: Any = error.__cause__
    return getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None) or ""


def _usable() -> bool:
    """Ask the database of the ledger whether it answers on this thread's connection."""
    connection = connections[conf.current().database]
    return connection.connection is not None and connection.is_usable()
