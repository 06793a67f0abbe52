"""What do operators want of this process? That queues rest, or that it stops; it looks by itself.

Every ``LOOK_EVERY`` seconds, by two short queries, in the thread of the heartbeat. While the
database is away what was wanted last goes on.
"""

from __future__ import annotations

from collections.abc import Set

from . import pauses, presence
from .models import WorkerProcess
from .retirement import Retirement


class Orders:
    """What one worker process was asked for, as far as it knows."""

    def __init__(self, worker: str, retirement: Retirement) -> None:
        """``retirement`` is how the process ends when it is asked to."""
        self._worker = worker
        self._retirement = retirement
        self._obeyed = ""
        #: The queues that rest. It is replaced and never changed, so any thread may read it.
        self.paused: Set[str] = frozenset()

    def look(self) -> None:
        """Find out what is wanted now."""
        self.paused = frozenset(pauses.paused())
        order = presence.ordered(self._worker)
        if order != self._obeyed:
            self._obeyed = order
            self._obey(order)

    def _obey(self, order: str) -> None:
        if order == WorkerProcess.Order.STOP:
            self._retirement.for_good()
        elif order == WorkerProcess.Order.RESTART:
            self._retirement.now("an operator has asked for it")
