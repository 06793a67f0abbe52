"""How is this worker process doing? Which loops go round, and what is away, by its own word."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

from taskrouting import signals


class Vitals:
    """What one process knows of itself."""

    def __init__(self) -> None:
        #: When each loop last went round, by the clock that all processes of a machine share.
        self.loops: dict[str, float] = {}

        #: What is away now and why, by the loop that noticed.
        self.troubles: dict[str, str] = {}
        signals.fault_noticed.connect(self._noticed)
        signals.fault_recovered.connect(self._recovered)

    def loop(self, name: str, stop: threading.Event) -> threading.Event:
        """Return ``stop`` for the loop of this thread: whenever that looks at it, it goes round."""
        return _Round(name, stop, self.loops)

    def _noticed(self, *, where: str, error: Exception, away: timedelta, **carries: Any) -> None:
        self.troubles[where] = f"{where}: {' '.join(str(error).split())}"

    def _recovered(self, *, where: str, **carries: Any) -> None:
        self.troubles.pop(where, None)


class _Round(threading.Event):
    """An event that notes when the thread that made it last asked for it."""

    def __init__(self, name: str, stop: threading.Event, loops: dict[str, float]) -> None:
        super().__init__()
        self._name = name
        self._stop = stop
        self._loops = loops
        self._owner = threading.get_ident()
        self._note()

    def is_set(self) -> bool:
        self._note()
        return self._stop.is_set()

    def set(self) -> None:
        self._stop.set()

    def clear(self) -> None:
        self._stop.clear()

    def wait(self, timeout: float | None = None) -> bool:
        self._note()
        answer = self._stop.wait(timeout)
        self._note()
        return answer

    def _note(self) -> None:
        """Other threads may wait for the same stop; they say nothing of this loop."""
        if threading.get_ident() == self._owner:
            self._loops[self._name] = time.monotonic()
