"""Is it the handler's failure, or the installation's? Only the former counts as an attempt."""

from __future__ import annotations

import threading
from collections.abc import Callable
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

#: How often a transaction that met a conflict is tried before we wait for quieter times.
TRIES = 5


class DatabaseAway(TaskroutingError):
    """The database is away; nothing was recorded and nothing is counted."""


class Contended(DatabaseAway):
    """The database is there, but conflict followed upon conflict; nothing was recorded."""


def is_conflict(error: BaseException) -> bool:
    """Say whether two transactions got in each other's way."""
    if not isinstance(error, OperationalError):
        return False
    return _code(error) in CONFLICTS or "database is locked" in str(error)


def session() -> object:
    """The connection to the ledger's database that this thread has, if it has one.

    When it is another one later, that one was lost: Django opens a new one as it leaves a
    transaction, and an error that the loss has caused looks like any other then.
    """
    return connections[conf.current().database].connection


def is_outage(error: BaseException, before: object = None) -> bool:
    """Say whether ``error`` came about because the database or the broker is away.

    ``before`` is the ``session()`` from before the work in which it came about.
    """
    if isinstance(error, BrokerUnavailable | DatabaseAway):
        return True
    if isinstance(error, DatabaseError) and _code(error).startswith(INABILITIES):
        return True
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return (before is not None and session() is not before) or not _usable()


def blame(error: BaseException, leaving: threading.Event) -> None:
    """Raise DatabaseAway unless ``error`` is the handler's own.

    It is not where the database or the broker is away, or where we end what runs because we leave.
    """
    if is_outage(error) or leaving.is_set():
        raise DatabaseAway(str(error)) from error


def ask_database() -> None:
    """Raise a database error unless the database of the ledger takes what we write."""
    Delivery.objects.using(conf.current().database).filter(pk=0).update(attempts=0)


def resolutely(work: Callable[[], T]) -> T:
    """Run a transaction; try again on a conflict; raise DatabaseAway where the database is away.

    Raises Contended when one conflict follows upon the other. Any other error passes. ``work`` must
    leave nothing behind when it fails.
    """
    for _ in range(TRIES):
        before = None
        try:
            connections[conf.current().database].ensure_connection()
            before = session()
            return work()
        except (DatabaseError, InterfaceError) as error:
            if is_conflict(error):
                conflict = error
                continue
            if is_outage(error, before):
                raise DatabaseAway(str(error)) from error
            raise
    raise Contended(f"no way through {TRIES} conflicts: {conflict}") from conflict


def _code(error: BaseException) -> str:
    """Read the SQLSTATE, or SQLite's name of the error; empty where the driver gives none."""
    cause: Any = error.__cause__
    return getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None) or ""


def _usable() -> bool:
    """Ask the database of the ledger whether it answers on this thread's connection."""
    connection = connections[conf.current().database]
    return connection.connection is not None and connection.is_usable()
