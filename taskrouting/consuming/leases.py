"""Who keeps the leases of running deliveries alive? One thread, one statement per beat."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import connections

from taskrouting import conf
from taskrouting.transport import store
from taskrouting.transport.outage import Outage

from . import ledger

#: Seconds until the next beat where the leases wait for it: one has failed, or we are leaving.
SOON = 1.0

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

    def doubt(self, token: UUID | None) -> None:
        """Give up the lease of ``token``: the database went away as it may have been committed."""
        if token is not None:
            with self._lock:
                self._doubtful.add(token)

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
    """A thread that renews leases, and says that this worker is alive, three times a lease."""

    def __init__(self, leases: Leases, beat: Callable[[], None]) -> None:
        self._leases = leases
        self._beat = beat
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
                self._leases.renew()
                self._beat()
                outage.over()
                pause = SOON if self._leases.excused else conf.current().lease.total_seconds() / 3
            except Exception as error:  # noqa: BLE001  # whatever it is, leases must not lapse
                connections.close_all()
                pause = outage.noticed(error).total_seconds()
            self._now.wait(pause)
            self._now.clear()
        connections.close_all()
