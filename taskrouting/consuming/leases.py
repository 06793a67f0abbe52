"""Who keeps the leases of running deliveries alive? One thread, one statement per beat."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import connections

from taskrouting import conf
from taskrouting.transport import store
from taskrouting.transport.outage import Outage

from . import faults, ledger

#: Seconds until the next beat where the leases wait for it: one has failed, or we are leaving.
SOON = 1.0

#: Seconds between two looks at what operators want.
LOOK_EVERY = 2.0

#: Seconds the beat that is under way has to end when the worker leaves.
LAST_BEAT = 2.0


class Leases:
    """The leases this process holds: tokens of deliveries whose handlers are running."""

    def __init__(self) -> None:
        self._tokens: set[UUID] = set()
        self._doubtful: set[UUID] = set()
        self._lock = threading.Lock()
        #: We are about to leave: a lease that lapses from now on is no crash.
        self.excused = False

    @contextmanager
    def held(self, token: UUID) -> Iterator[None]:
        """Keep the lease of ``token`` alive for a block."""
        with self._lock:
            self._tokens.add(token)
        try:
            yield
        finally:
            with self._lock:
                self._tokens.discard(token)

    def tokens(self) -> list[UUID]:
        """Return the tokens of everything that runs under a lease now."""
        with self._lock:
            return sorted(self._tokens)

    @contextmanager
    def in_doubt(self, token: Callable[[], UUID | None]) -> Iterator[None]:
        """Give up the lease that a block takes if the database goes away: it may be committed."""
        try:
            yield
        except faults.DatabaseAway:
            if (taken := token()) is not None:
                with self._lock:
                    self._doubtful.add(taken)
            raise

    def renew(self) -> None:
        """Push every lease ahead; one that is gone shows when its outcome is written.

        Those in doubt are handed over: nobody runs under them, and that is no crash.
        """
        settings = conf.current()
        store.renew(self.tokens(), settings.lease, using=settings.database)
        with self._lock:
            doubtful = sorted(self._doubtful)
        if doubtful:
            ledger.interrupt(doubtful)
            with self._lock:
                self._doubtful.difference_update(doubtful)
        if self.excused:
            ledger.excuse(self.tokens())


class Heartbeat:
    """A thread that renews leases, and says that this worker is alive, three times a lease.

    More often it looks at what operators want.
    """

    def __init__(self, leases: Leases, beat: Callable[[], None], look: Callable[[], None]) -> None:
        self._leases = leases
        self._beat = beat
        self._look = look
        #: When to beat again, by the clock of this process.
        self._due = 0.0
        self._stopped = False
        self._now = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def excuse(self) -> None:
        """Say, now and from now on, that what runs may be cut off: that would be no crash."""
        self._leases.excused = True
        self._now.set()

    def stop(self) -> None:
        """Stop beating and give the database connection back."""
        self._stopped = True
        self._now.set()
        self._thread.join(timeout=LAST_BEAT)

    def _run(self) -> None:
        outage = Outage("database (heartbeat)", longest=SOON)
        while not self._stopped:
            try:
                if self._leases.excused or time.monotonic() >= self._due:
                    self._leases.renew()
                    self._beat()
                    third = conf.current().lease.total_seconds() / 3
                    self._due = time.monotonic() + (SOON if self._leases.excused else third)
                self._look()
                outage.over()
                pause = min(LOOK_EVERY, max(self._due - time.monotonic(), 0.0))
            except Exception as error:  # noqa: BLE001  # whatever it is, leases must not lapse
                connections.close_all()
                self._due = 0.0
                pause = outage.noticed(error).total_seconds()
            self._now.wait(pause)
            self._now.clear()
        connections.close_all()
