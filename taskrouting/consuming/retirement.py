"""When must a worker process make room for a fresh one? After so much work, or grown so large.

Between handlers, never in the middle of one: what runs is finished, what was only taken is handed
back, and the supervisor starts the next process at once.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import threading
import time
from pathlib import Path

logger = logging.getLogger("taskrouting.worker")

STATM = Path("/proc/self/statm")

#: Seconds between two looks at the memory.
LOOK_EVERY = 1.0


class Retirement:
    """The end of one process that is not the end of its worker's work."""

    def __init__(self, *, max_events: int | None = None, max_rss: int | None = None) -> None:
        """``max_events`` counts settled messages; ``max_rss`` is in bytes of resident memory."""
        self._stop = threading.Event()
        #: Why; empty as long as the process may stay.
        self.reason = ""
        #: Whether a fresh process is to go on.
        self.replaced = True
        self._max_events = max_events
        self._max_rss = max_rss
        self._events = 0
        self._looked_at = 0.0

    def now(self, reason: str) -> None:
        """Ask the worker to stop, for a fresh process to go on."""
        if not self.reason:
            logger.info("Process %d makes room for a fresh one: %s", os.getpid(), reason)
        self.reason = self.reason or reason
        self._stop.set()

    def for_good(self) -> None:
        """Ask the worker to stop, with nobody to go on."""
        logger.info("Process %d stops: an operator has asked it to", os.getpid())
        self.reason = self.reason or "an operator has asked it to stop"
        self.replaced = False
        self._stop.set()

    def begin(self, stop: threading.Event) -> None:
        """Set ``stop`` when the time has come; say so now where a fresh process is too large."""
        self._stop = stop
        if self._max_rss is not None and resident() > self._max_rss:
            logger.warning(
                "A fresh process has %d MiB of resident memory already, more than --max-rss allows "
                "(%d MiB): each will end after its first message. Allow more.",
                resident() >> 20,
                self._max_rss >> 20,
            )

    def settled(self, count: int) -> None:
        """Count so many messages more."""
        self._events += count

    def look(self) -> None:
        """Retire if it is time. A process that has done nothing yet stays."""
        if not self._events:
            return
        if self._max_events is not None and self._events >= self._max_events:
            self.now(f"it has settled {self._events} messages")
        elif self._max_rss is not None and time.monotonic() - self._looked_at > LOOK_EVERY:
            self._looked_at = time.monotonic()
            if (size := resident()) > self._max_rss:
                self.now(f"it has {size >> 20} MiB of resident memory")


def resident() -> int:
    """Bytes of resident memory of this process; where there is no ``/proc``, the most it had."""
    try:
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
