"""Who tells a waiting worker that something was committed?

PostgreSQL tells: NOTIFY after the commit, LISTEN on a connection of its own. SQLite is asked: its
``data_version`` changes with every commit of another connection, and asking costs microseconds.
Where neither works (PgBouncer in transaction mode, an in-memory database) we look every 25 ms.
"""

from __future__ import annotations

import logging
import math
import select
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

from django.db import DatabaseError, InterfaceError, connections, transaction

logger = logging.getLogger("taskrouting.wakeup")

CHANNEL = "taskrouting"

#: Seconds between two looks at SQLite's ``data_version`` (a little under 1 % of a core).
GLANCE = 0.025

#: Seconds between two looks at the table itself where nobody can tell us.
POLL = 0.025


def after_commit(using: str) -> None:
    """Wake whoever waits on ``using``, once, when the open transaction commits."""
    wake = _waker(using)
    pending = connections[using].run_on_commit
    # An entry that is already there lives and dies with a savepoint that holds this one too.
    if not any(entry[1] is wake for entry in pending):
        transaction.on_commit(wake, using=using, robust=True)


@cache
def _waker(using: str) -> Callable[[], None]:
    """The one function per alias that ``after_commit`` registers, so that it can be recognised."""

    def wake() -> None:
        if connections[using].vendor == "postgresql":
            with connections[using].cursor() as cursor:
                cursor.execute(f"NOTIFY {CHANNEL}")

    return wake


class Waiter(Protocol):
    """Waits until something may have been committed on one database."""

    def wait(self, seconds: float) -> bool:
        """Wait for up to ``seconds``; return whether something may be there to look at."""

    def close(self) -> None:
        """Give the connection back."""


def waiter(using: str) -> Waiter:
    """Return the best waiter for the database ``using``."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        return _NotifyWaiter(using)
    if connection.vendor == "sqlite" and not connection.is_in_memory_db():  # type: ignore[attr-defined]  # SQLite's wrapper
        return _VersionWaiter(using)
    return _PollWaiter()


class _PollWaiter:
    """Looks again soon, since nobody will say a word."""

    def wait(self, seconds: float) -> bool:
        time.sleep(min(seconds, POLL))
        return True

    def close(self) -> None:
        """Hold nothing."""


class _VersionWaiter:
    """Watches SQLite's ``data_version`` on a connection of its own."""

    def __init__(self, using: str) -> None:
        self._connection = connections.create_connection(using)
        self._seen = -1

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while (version := self._version()) == self._seen:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, GLANCE))
        self._seen = version
        return True

    def close(self) -> None:
        self._connection.close()

    def _version(self) -> int:
        # Past Django's wrappers: this runs forty times a second while nothing happens.
        self._connection.ensure_connection()
        with self._connection.wrap_database_errors:
            return int(self._connection.connection.execute("PRAGMA data_version").fetchone()[0])


class _NotifyWaiter:
    """Listens on PostgreSQL; while it cannot, it polls and says so."""

    #: Seconds before a lost connection is tried again.
    RETRY = 1.0

    def __init__(self, using: str) -> None:
        self._using = using
        self._connection: Any = None
        self._retry_at = 0.0
        self._deaf = False

    def wait(self, seconds: float) -> bool:
        try:
            just_opened = self._connection is None
            if self._listening():
                if just_opened:
                    return True  # whatever was committed before we listened was not told to us
                driver = self._connection.connection
                # Psycopg would wait for parts of a millisecond by asking again and again.
                ready = _readable(driver.fileno(), seconds)
                return ready and bool(list(driver.notifies(timeout=0)))
        except (DatabaseError, InterfaceError, _driver_error()) as error:
            logger.warning("Lost the LISTEN connection of %r: %s", self._using, error)
            self.close()
        time.sleep(min(seconds, POLL))
        return True

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self._retry_at = time.monotonic() + self.RETRY
        if connection is not None:
            connection.close()

    def _listening(self) -> bool:
        """Open the connection when it is time to; say whether notifications arrive on it."""
        if self._deaf or (self._connection is None and time.monotonic() < self._retry_at):
            return False
        if self._connection is None:
            self._connection = self._open()
            self._deaf = not self._hears()
        if self._deaf:
            logger.warning(
                "NOTIFY does not arrive on database %r (a connection pooler in transaction mode, "
                "or psycopg 2?); looking every %d ms instead.", self._using, POLL * 1000,
            )  # fmt: skip
            self.close()
        return not self._deaf

    def _open(self) -> Any:
        connection = connections.create_connection(self._using)
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        return connection

    def _hears(self) -> bool:
        """Send ourselves a NOTIFY by the ordinary connection and see whether it comes."""
        if not hasattr(self._connection.connection, "notifies") or _driver_error() is OSError:
            return False
        with connections[self._using].cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")
        return bool(list(self._connection.connection.notifies(timeout=1.0, stop_after=1)))


def _readable(socket: int, seconds: float) -> bool:
    """Wait for something to read, for ``seconds`` or a part of a millisecond longer."""
    asked = select.poll()
    asked.register(socket, select.POLLIN)
    return bool(asked.poll(math.ceil(seconds * 1000)))


def _driver_error() -> type[Exception]:
    """The error psycopg 3 raises itself, past Django's wrappers; OSError where it is absent."""
    try:
        import psycopg
    except ImportError:
        return OSError
    return psycopg.Error
