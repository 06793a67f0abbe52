"""How long may a page ask the database? Not so long that whoever waits gives up, or others wait.

The lists ask only what an index answers, or what looks at a limited number of rows. This is for
what nobody has thought of: it ends in a sentence instead of a page that never comes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connections, transaction

#: Seconds that the queries of a list may take.
PATIENCE = 5.0

#: SQLite looks at the clock after so many of its instructions.
_INSTRUCTIONS = 20_000

#: PostgreSQL's code for a statement that was cancelled.
_CANCELLED = "57014"


class TooSlow(Exception):
    """The database was told to stop: the answer would have taken too long."""


@contextmanager
def patience(using: str, seconds: float = PATIENCE) -> Iterator[None]:
    """End queries on ``using`` that take longer than ``seconds``; raises TooSlow then.

    PostgreSQL limits each query of the block, SQLite all of them together.
    """
    connection = connections[using]
    limited = {"postgresql": _postgresql, "sqlite": _sqlite}.get(connection.vendor)
    if limited is None:
        yield
        return
    with limited(connection, seconds):
        yield


@contextmanager
def _postgresql(connection: Any, seconds: float) -> Iterator[None]:
    """Set the limit for a transaction, or for a part of the one that is open (ATOMIC_REQUESTS)."""
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            (before,) = cursor.fetchone()
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [_ms(seconds)])
            yield
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _CANCELLED:
            raise
        raise TooSlow from error


@contextmanager
def _sqlite(connection: Any, seconds: float) -> Iterator[None]:
    """Have SQLite look at the clock now and then."""
    connection.ensure_connection()
    until = time.monotonic() + seconds
    connection.connection.set_progress_handler(lambda: time.monotonic() > until, _INSTRUCTIONS)
    try:
        yield
    except OperationalError as error:
        if "interrupted" not in str(error):
            raise
        raise TooSlow from error
    finally:
        connection.connection.set_progress_handler(None, 0)


def _ms(seconds: float) -> str:
    return str(int(seconds * 1000))
