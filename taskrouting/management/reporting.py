"""What does a worker process report to its seat? Every second: loops, troubles and counts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from taskrouting.consuming.seats import Seat
from taskrouting.instruments.metrics import Counts, Meter
from taskrouting.instruments.vitals import Vitals

#: Seconds between two reports.
EVERY = 1.0


class Reporter:
    """A thread that reports until its process ends, and once more then."""

    def __init__(
        self, seat: Seat, vitals: Vitals, consumes: Callable[[], bool], *, counting: bool
    ) -> None:
        """``consumes`` says whether everything has been begun that this process is for."""
        self._seat = seat
        self._vitals = vitals
        self._consumes = consumes
        self._counts = Counts(seat.read().get("counts"))
        self._meter = Meter(self._counts) if counting else None
        self._ended = threading.Event()
        self._writing = threading.Lock()

    def start(self, stop: threading.Event) -> None:
        """Begin to report; that ``stop`` is set is part of it."""
        self._stop = stop
        self.report()
        threading.Thread(target=self._run, name="report", daemon=True).start()

    def report(self) -> None:
        """Report now."""
        with self._writing:
            self._seat.write(self._report())

    def end(self) -> None:
        """Report for the last time."""
        with self._writing:
            self._ended.set()
            self._seat.write(self._report())

    def _run(self) -> None:
        while not self._ended.wait(EVERY):
            self.report()

    def _report(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "at": time.monotonic(),
            "loops": dict(self._vitals.loops),
            "troubles": list(dict(self._vitals.troubles).values()),
            "consumes": self._consumes(),
            "stopping": self._stop.is_set(),
            "ended": self._ended.is_set(),
            "counts": self._counts.as_json(),
        }
