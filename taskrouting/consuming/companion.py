"""Who answers for the workers while they work? A process beside them, which handles nothing.

A supervisor that answered itself would need threads, and a process with threads must not fork: a
lock that another thread holds just then stays locked in the child for ever. So it forks this one
first. It sees the workers by their seats, and one that dies is replaced like a worker.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkProcess

from .seats import Seat

logger = logging.getLogger("taskrouting.supervisor")

#: What the process does: watch the seats, until the file descriptor can be read.
Watching = Callable[[Sequence[Seat], int], None]

#: Starts a process.
Fork = Callable[[Callable[[], None]], ForkProcess]

#: Seconds until a companion that has died is replaced.
PAUSE = 1.0


class Companion:
    """A process beside ``processes`` workers."""

    def __init__(
        self, watch: Watching, *, processes: int, listeners: Sequence[socket.socket]
    ) -> None:
        """``listeners`` are the sockets on which it answers; the workers do not keep them."""
        self._watch = watch
        self._listeners = listeners
        self._seats = [Seat() for _ in range(processes)]
        self._taken: dict[int, ForkProcess] = {}
        self._process: ForkProcess | None = None
        self._due = 0.0

    def free(self, living: Sequence[ForkProcess]) -> int:
        """The number of a seat on which none of the living sits."""
        held = {number for number, child in self._taken.items() if child in living}
        return next(number for number in range(len(self._seats)) if number not in held)

    def take(self, number: int, child: ForkProcess) -> None:
        """Note that ``child`` has the seat."""
        self._taken[number] = child

    def sit(self, number: int) -> Seat:
        """Sit down, in the child: its seat, and nothing else of ours, is its own."""
        for listener in self._listeners:
            listener.close()
        return self._seats[number]

    def ends(self) -> list[int]:
        """What can be read when the process ends."""
        return [self._process.sentinel] if self._process is not None else []

    def tend(self, fork: Fork, lifeline: tuple[int, int]) -> None:
        """Start the process if there is none; one that has just died a little later."""
        if self._process is not None and not self._process.is_alive():
            logger.error("The process that answers for the workers died; replacing it")
            self._process, self._due = None, time.monotonic() + PAUSE
        if self._process is None and time.monotonic() >= self._due:
            self._process = fork(lambda: self._live(lifeline))

    def until_due(self) -> float | None:
        """Seconds until the process is to be started again; ``None`` while it lives."""
        return max(0.0, self._due - time.monotonic()) if self._process is None else None

    def end(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        for listener in self._listeners:
            listener.close()

    def _live(self, lifeline: tuple[int, int]) -> None:
        """What the process does, until the supervisor ends it or is gone itself."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # it answers until the workers are done
        os.close(lifeline[1])
        self._watch(self._seats, lifeline[0])
        os._exit(0)
