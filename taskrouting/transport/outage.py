"""How long do we wait while the broker or the database is away? Longer each time, and we say so.

A fault of the installation is never an attempt: nothing is counted, nothing is given up.
"""

from __future__ import annotations

import random
import time
from datetime import timedelta

from taskrouting import signals

FIRST = 0.5
LONGEST = 5.0

#: Seconds after which a fault is a new one and no relapse.
STEADY = 30.0


class Outage:
    """One thing that may be away, as seen by one loop."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._since: float | None = None
        self._faults = 0
        self._over_at = float("-inf")

    def noticed(self, error: Exception) -> timedelta:
        """Record a fault and return how long to wait before trying again.

        Doubles from half a second to five, with jitter, so that recovery is seen within five.
        """
        if self._since is None:
            self._since = time.monotonic()
            if self._since - self._over_at > STEADY:
                self._faults = 0
        most = min(FIRST * 2**self._faults, LONGEST)
        self._faults = min(self._faults + 1, 10)
        delay = timedelta(seconds=random.uniform(most / 2, most))  # noqa: S311  # no secret
        away = timedelta(seconds=time.monotonic() - self._since)
        signals.emit(
            signals.fault_noticed,
            Outage,
            where=self._where,
            error=error,
            away=away,
            retry_in=delay,
        )
        return delay

    def over(self) -> None:
        """Record that it works (again)."""
        if self._since is not None:
            away = timedelta(seconds=time.monotonic() - self._since)
            self._since, self._over_at = None, time.monotonic()
            signals.emit(signals.fault_recovered, Outage, where=self._where, away=away)
