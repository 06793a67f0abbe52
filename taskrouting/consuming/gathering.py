"""Who waits beside whom for a thread? Lines of messages that may run in a group.

A thread that is free takes what waits in the line by then, as many as go well together, and goes on
until nobody waits. So nobody waits for a group to fill.

While groups end quickly one thread is best: a second one would wait for the interpreter's lock, and
both groups would be smaller. Slow handlers get all threads.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count

from taskrouting import conf
from taskrouting.routing import topology
from taskrouting.routing.subscriptions import registry
from taskrouting.transport.messages import Arrival

from . import groups
from .groups import Ended
from .pool import Pool, recycle

Run = Callable[[Sequence[Arrival]], Ended]

#: Threads for a line whose groups end quickly, and how long its messages may wait for one: what
#: comes late is not short of threads, and goes on as soon as the database does.
QUICK, LONG = 1, 5.0


class Line:
    """The messages of one queue that wait for a thread."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Arrival, float]] = deque()
        self._lock = threading.Lock()
        self._numbers = count()
        #: The threads that take from here, or will, and since when each is at its group.
        self._helpers: dict[int, float] = {}
        #: How many go well together: found out by doubling, and anew after a group that failed.
        self.size = 1

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def enter(self, arrival: Arrival) -> None:
        """Wait."""
        with self._lock:
            self._waiting.append((arrival, time.monotonic()))

    def hire(self, threads: int) -> int | None:
        """Return the number of another helper if one of so many ``threads`` would be of use."""
        late = time.monotonic() - conf.current().group_time.total_seconds()
        with self._lock:
            coming = sum(since == math.inf for since in self._helpers.values())
            at_hand = sum(since > late for since in self._helpers.values())
            enough = QUICK if self.size > 1 else threads
            if at_hand >= enough or len(self._helpers) >= threads:
                return None
            if coming * self.size >= len(self._waiting):
                return None
            helper = next(self._numbers)
            self._helpers[helper] = math.inf
            return helper

    def take(self, helper: int) -> list[Arrival]:
        """Take a group from the front; one who finds nobody is no helper any more."""
        with self._lock:
            some = range(min(self.size, len(self._waiting)))
            taken = [self._waiting.popleft()[0] for _ in some]
            if taken:
                self._helpers[helper] = time.monotonic()
            else:
                self._helpers.pop(helper, None)
            return taken

    def begin_anew(self) -> None:
        """Forget who waits, and who was to come for them."""
        with self._lock:
            self._waiting.clear()
            working = self._helpers.items()
            self._helpers = {each: since for each, since in working if since < math.inf}

    def dismiss(self, helper: int) -> None:
        """Count on this helper no more."""
        with self._lock:
            self._helpers.pop(helper, None)

    def put_back(self, arrivals: Sequence[Arrival]) -> None:
        """Let those wait again, at the front, for whom there was no time."""
        with self._lock:
            since = self._waiting[0][1] if self._waiting else time.monotonic()
            self._waiting.extendleft((arrival, since) for arrival in reversed(arrivals))

    def withdraw(self, waiting_for: float) -> Iterator[Arrival]:
        """Take back what has waited for so many seconds, or for LONG where it is quick."""
        if waiting_for and self.size > 1:
            waiting_for = LONG
        since = time.monotonic() - waiting_for
        with self._lock:
            while self._waiting and self._waiting[0][1] <= since:
                self.size = 1  # whatever it is now that it waits for, it is not quick
                yield self._waiting.popleft()[0]

    def learn(self, count: int, seconds: float, ended: Ended) -> None:
        """Let the next groups be larger or smaller, by how one of ``count`` has ended."""
        settings = conf.current()
        if not ended.together:
            self.size = 1
        elif ended.left:
            self.size = max(1, count - len(ended.left))
        elif count >= self.size and seconds < settings.group_time.total_seconds() / 2:
            self.size = min(2 * self.size, settings.group_size)


class Gatherer:
    """Sends the messages of several queues into the pool. Belongs to the worker's main thread."""

    def __init__(self, pool: Pool, run: Run, leaving: threading.Event) -> None:
        """Nothing is begun any more when ``leaving`` is set."""
        self._leaving = leaving
        self._pool = pool
        self._run = run
        queues = {each.queue for each in registry}
        self._lines = {queue: Line() for queue in queues if groups.takes(queue)}
        # A consumer that asks for more begins anew, and where one is served at a time, it has gone
        # to the end of the line then.
        self._fixed = {each.name for each in topology.current().queues if each.single}

    def __bool__(self) -> bool:
        return any(self._lines.values())

    def takes(self, arrival: Arrival) -> bool:
        """Say whether one message may run beside others of its queue."""
        return arrival.queue in self._lines and groups.joins(arrival)

    def add(self, arrival: Arrival) -> None:
        """Let one message run beside others of its queue, as soon as a thread is free."""
        line = self._lines[arrival.queue]
        line.enter(arrival)
        self._help(line)

    def flush(self) -> None:
        """Send more threads where those that were sent are late."""
        for line in self._lines.values():
            self._help(line)

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Say how many messages of a queue go well together, where that is known to be several."""
        for queue, line in self._lines.items():
            if line.size > 1 and queue not in self._fixed:
                yield queue, line.size

    def begin_anew(self) -> None:
        """Forget everybody: they were handed back."""
        for line in self._lines.values():
            line.begin_anew()

    def withdraw(self, waiting_for: float = 0.0) -> list[Arrival]:
        """Take back what has waited for ``waiting_for`` seconds."""
        return [each for line in self._lines.values() for each in line.withdraw(waiting_for)]

    def _help(self, line: Line) -> None:
        while (helper := line.hire(self._pool.threads)) is not None:
            self._pool.submit([], partial(self._serve, line, helper))

    def _serve(self, line: Line, helper: int) -> None:
        """Take what waits, in a thread of the pool, until nobody does or others want the thread."""
        try:
            while not self._leaving.is_set() and (taken := line.take(helper)):
                began = time.monotonic()
                ended = self._run(taken)
                line.put_back(ended.left)
                line.learn(len(taken), time.monotonic() - began, ended)
                if self._pool.wanted:
                    return
                recycle()
        finally:
            line.dismiss(helper)
