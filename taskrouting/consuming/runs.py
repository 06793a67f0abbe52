"""Which handlers run in this process at this moment, and how are they reached from outside?

A run can be *rung* (an exception is raised in its thread), its database statement cancelled, and
at last its transaction *severed*. Every way holds the run's lock, so none of them can strike what
comes after the handler.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import traceback

from django.db import connections

from taskrouting import conf

from . import severing
from .turns import pass_on


class Rung(BaseException):
    """What is raised in the thread: no ``except Exception`` of the handler swallows it."""


class Run:
    """One call of a handler, made by the thread that will wait for it; known for a block."""

    def __init__(self, known: set[Run]) -> None:
        self._known = known
        self._over = False
        self._watched: threading.Event | None = None
        #: Whether it was told to end.
        self.rung = False
        #: Whether its transaction was ended from outside: what it does now does not count.
        self.severed = False
        #: Whether it was given up and that is recorded: nobody waits for it.
        self.lost = False
        self._caller = threading.get_ident()
        self._thread: int | None = None
        self._connection = connections[conf.current().database]
        self._lock = threading.Lock()

    def __enter__(self) -> Run:
        self._known.add(self)
        return self

    def __exit__(self, *raised: object) -> None:
        self.end()
        self._known.discard(self)

    def watched(self) -> threading.Event:
        """Return what is set when the run is over; nobody pays for it who does not watch."""
        with self._lock:
            self._watched = self._watched or threading.Event()
            if self._over:
                self._watched.set()
            return self._watched

    def enter(self) -> None:
        """Say that the handler's code runs in this thread: an ``async def`` has one of its own."""
        with self._lock:
            self._thread = threading.get_ident()
            if self.rung:
                _raise_in(self._thread, Rung)

    def leave(self) -> None:
        """Say that it does not any more; an exception that has not arrived is taken back."""
        with self._lock:
            # Only if there is one: CPython up to 3.12 then looks for it at every step, for ever,
            # which is slow, and with a profiler or a debugger attached it gets no further.
            if self._thread is not None and self.rung:
                _raise_in(self._thread, None)
            self._thread = None

    def end(self) -> None:
        """Be out of reach for good."""
        self.leave()
        with self._lock:
            self._over = True
            if self._watched is not None:
                self._watched.set()

    def ring(self) -> None:
        """Raise Rung in the handler's thread, as soon as it runs Python code."""
        with self._lock:
            self.rung = True
            if self._thread is not None:
                _raise_in(self._thread, Rung)

    def cancel(self) -> None:
        """Stop the statement that the handler waits for, if it does."""
        with self._lock:
            if not self._over:
                severing.cancel(self._connection)

    def sever(self) -> bool:
        """End the handler's transaction; return False if the run was over, or severed before."""
        with self._lock:
            if self._over or self.severed:
                return False
            self.severed = True
            severing.sever(self._connection)
            pass_on(self._caller)
            return True

    def stack(self) -> str:
        """Say where its threads are."""
        frames = sys._current_frames()
        threads = dict.fromkeys([self._caller, self._thread])
        found = [frames[thread] for thread in threads if thread in frames]
        return "\n".join("".join(traceback.format_stack(frame)) for frame in found)


class Runs:
    """The handlers that run in this process."""

    def __init__(self) -> None:
        self._running: set[Run] = set()

    def entered(self) -> Run:
        """Know of one call of a handler for a block."""
        return Run(self._running)

    @property
    def lost(self) -> int:
        """How many were given up and have not come back."""
        return sum(run.lost for run in list(self._running))

    def sever(self) -> None:
        """End the transactions of all that still run."""
        for run in list(self._running):
            run.sever()


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have CPython raise ``error`` in another thread between two bytecodes; ``None`` undoes it."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error)
    )
