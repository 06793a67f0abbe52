"""How does one thread end the transaction that another thread is stuck in?

The database must let go of its locks, and nothing the stuck thread does later may be written. On
SQLite the connection is closed, which rolls back. On PostgreSQL its socket is shut: the server
rolls back when it reads the end, behind PgBouncer too. Nothing here is called on Django's wrapper
itself, which belongs to its thread.
"""

from __future__ import annotations

import logging
import os
import socket
from contextlib import suppress
from typing import Any

logger = logging.getLogger("taskrouting.worker")

#: libpq's PQTRANS_ACTIVE: a statement is running.
ACTIVE = 1

#: Seconds to wait for PostgreSQL to take a request to cancel.
PATIENCE = 5.0


def cancel(wrapper: Any) -> None:
    """Stop the statement that runs on ``wrapper``'s connection, if one does and can be stopped."""
    raw = wrapper.connection
    if raw is None:
        return
    try:
        if wrapper.vendor == "sqlite":
            raw.interrupt()
        elif raw.info.transaction_status == ACTIVE:
            _cancel_on_postgresql(raw)
    except Exception:  # it may just have ended, or the server is away: sterner means follow
        logger.warning("A statement could not be cancelled.", exc_info=True)


def sever(wrapper: Any) -> None:
    """End the transaction that is open on ``wrapper``'s connection, and the connection with it."""
    raw = wrapper.connection
    if raw is None or not wrapper.in_atomic_block:
        return
    cancel(wrapper)
    if wrapper.vendor == "sqlite":
        raw.close()
        return
    # A socket of our own on the same connection: closing it leaves psycopg's number alone.
    with socket.socket(fileno=os.dup(raw.fileno())) as door, suppress(OSError):
        door.shutdown(socket.SHUT_RDWR)  # OSError: the other side was quicker


def _cancel_on_postgresql(raw: Any) -> None:
    """Ask the server to cancel; psycopg 2 has one way, psycopg 3 a better one."""
    if hasattr(raw, "cancel_safe"):
        raw.cancel_safe(timeout=PATIENCE)
    else:
        raw.cancel()
