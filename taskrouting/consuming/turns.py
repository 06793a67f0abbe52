"""Who may write to SQLite now? It has one writer, and handlers take turns instead of colliding."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext

from django.db import connections

from taskrouting import conf


class Turn:
    """A lock that somebody else may pass on, for a holder that is stuck."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._holder: int | None = None

    def __enter__(self) -> None:
        self._turn.acquire()
        self._holder = threading.get_ident()

    def __exit__(self, *raised: object) -> None:
        self.pass_on(threading.get_ident())

    def pass_on(self, holder: int) -> None:
        """End the turn of the thread ``holder``, if it is its turn."""
        with self._guard:
            if self._holder == holder:
                self._holder = None
                self._turn.release()


_turn = Turn()


def in_turn() -> AbstractContextManager[object]:
    """Hold SQLite's one writer's place, where the ledger is in SQLite."""
    return _turn if connections[conf.current().database].vendor == "sqlite" else nullcontext()


def pass_on(thread: int) -> None:
    """Let the next one write: the transaction of ``thread`` was ended from outside."""
    _turn.pass_on(thread)
