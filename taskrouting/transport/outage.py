"""How long do we wait while the broker or the database is away? Longer each time, and we say so.

A fault of the installation is never an attempt: nothing is counted, nothing is given up.
"""

from __future__ import annotations

import random
import time
from datetime import timedelta

from django.db import DatabaseError, InterfaceError

from taskrouting import signals

#: Seconds to wait: at first, and at most. With ``MERCY`` that is within five.
FIRST, LONGEST = 0.5, 3.0

#: Seconds for which nobody takes what has lapsed while the database was away: those who hold it
#: are coming back too, and renew it.
MERCY = 1.5

#: Seconds after which a fault is a new one and no relapse.
STEADY = 30.0


class Outage:
    """One thing that may be away, as seen by one loop."""

    def __init__(self, where: str, *, longest: float | None = None) -> None:
        """``longest`` is the most to wait, in seconds, where not ``LONGEST``."""
        self._where = where
        self._longest = longest
        self._since: float | None = None
        self._faults = 0
        self._over_at = float("-inf")
        #: Seconds to leave alone what has lapsed, once the database answers again.
        self.mercy = 0.0

    def noticed(self, error: Exception) -> timedelta:
        """Record a fault and return how long to wait before trying again.

        Doubles from half a second to three, with jitter, so that recovery is seen soon.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
            if now - self._over_at > STEADY:
                self._faults = 0
        if _is_of_database(error):
            self.mercy = MERCY
        most = min(FIRST * 2**self._faults, self._longest or LONGEST)
        self._faults = min(self._faults + 1, 10)
        delay = timedelta(seconds=random.uniform(most / 2, most))  # noqa: S311  # no secret
        signals.emit(
            signals.fault_noticed,
            Outage,
            where=self._where,
            error=error,
            away=timedelta(seconds=now - self._since),
            retry_in=delay,
        )
        return delay

    def over(self) -> None:
        """Record that it works (again)."""
        if self._since is not None:
            away = timedelta(seconds=time.monotonic() - self._since)
            self._since, self._over_at, self.mercy = None, time.monotonic(), 0.0
            signals.emit(signals.fault_recovered, Outage, where=self._where, away=away)


def _is_of_database(error: Exception) -> bool:
    """Say whether the database failed, also where it is the broker."""
    kinds = (DatabaseError, InterfaceError)
    return isinstance(error, kinds) or isinstance(error.__cause__, kinds)
