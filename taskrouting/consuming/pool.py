"""Which threads run handlers? A pool that can say who waits, and give back who has not begun."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from taskrouting.transport.messages import Arrival


@dataclass(frozen=True, slots=True)
class Errand:
    """Messages handed to the pool together."""

    arrivals: Sequence[Arrival]
    since: float = field(default_factory=time.monotonic)


class Pool:
    """Runs errands on ``threads`` threads. Belongs to the worker's main thread, but ``wanted``."""

    def __init__(self, threads: int, name: str) -> None:
        self.threads = threads
        #: Errands that no thread has begun, and who may count them.
        self._wanted = 0
        self._counting = threading.Lock()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._errands: dict[Future[None], Errand] = {}
        self._opened: set[BaseDatabaseWrapper] = set()

    def submit(self, arrivals: Sequence[Arrival], work: Callable[[], object]) -> None:
        """Run ``work`` for ``arrivals`` when a thread is free."""
        self._count(1)
        future = self._executor.submit(self._begin, work)
        self._errands[future] = Errand(arrivals)

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for a thread."""
        return self._wanted > 0

    @property
    def free(self) -> int:
        """Threads that nobody is waiting for."""
        return max(self.threads - len(self._errands), 0)

    @property
    def held(self) -> int:
        """Errands that run or wait."""
        return len(self._errands)

    @property
    def running(self) -> int:
        """Errands that a thread has begun."""
        return len(self._errands) - self._wanted

    def reap(self) -> list[BaseException]:
        """Forget what is done; return the errors that were nobody's handler's."""
        done = [future for future in self._errands if future.done()]
        errors = []
        for future in done:
            del self._errands[future]
            error = None if future.cancelled() else future.exception()
            if error is not None:
                errors.append(error)
        return errors

    def withdraw(self, waiting_for: float = 0.0) -> list[Arrival]:
        """Take back what has waited for ``waiting_for`` seconds and has not begun.

        An errand for nobody in particular is left to find out that there is nothing to do.
        """
        now = time.monotonic()
        withdrawn: list[Arrival] = []
        for future, errand in list(self._errands.items()):
            if errand.arrivals and now - errand.since >= waiting_for and future.cancel():
                del self._errands[future]
                self._count(-1)
                withdrawn += errand.arrivals
        return withdrawn

    def close(self) -> None:
        """Let the threads end, without waiting for those that are busy.

        The connections of threads that have nothing to do any more are closed for them.
        """
        self._executor.shutdown(wait=False, cancel_futures=True)
        if not self._errands:
            for connection in self._opened:
                connection.inc_thread_sharing()
                connection.close()

    def _count(self, more: int) -> None:
        with self._counting:
            self._wanted += more

    def _begin(self, work: Callable[[], object]) -> None:
        """Run ``work`` in a thread of the pool, on connections that are usable and not too old."""
        self._count(-1)
        recycle()
        try:
            work()
        finally:
            recycle()
            self._opened.update(connections.all(initialized_only=True))


def keep_connections() -> None:
    """Let a worker keep its connections where ``CONN_MAX_AGE`` is 0, Django's "per request".

    A worker has no requests, and a connection per message costs PostgreSQL eight times the
    throughput (measured with Celery, which does that).
    """
    for alias in connections:
        if connections.settings[alias]["CONN_MAX_AGE"] == 0:
            connections.settings[alias]["CONN_MAX_AGE"] = 600


def recycle() -> None:
    """Close the connections of this thread that are not usable any more, or too old."""
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()
