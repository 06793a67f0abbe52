"""Who keeps the worker processes alive? Start, watch, replace, stop.

The supervisor does no work itself, so that it survives whatever a handler does to its process.
The first SIGTERM or SIGINT lets every process finish what it has begun; a second one ends them at
once, which loses nothing: what they held comes back to others.
"""

from __future__ import annotations

import gc
import logging
import mmap
import multiprocessing
import os
import queue
import signal
import struct
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from types import FrameType

from django.db import connections

from .companion import Companion

logger = logging.getLogger("taskrouting.supervisor")

#: What one process does, until the event is set; returns its exit code. It is told
#: how to ask whether it is the one that leads now, and beside a companion its ``seat``.
Work = Callable[..., int]

#: A process that dies within this many seconds of its start is not replaced at once.
YOUNG = 5.0

#: Seconds before a process that died young is replaced: doubling, from and to. A fork is cheap;
#: what a storm of deaths must not do is to leave nobody at work.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0

#: Seconds beyond the grace before a process that does not leave is killed.
OVERTIME = 5.0

STOPPED_BY_FORCE = 130

#: The exit code of a process that asks for a fresh one in its place; nothing has gone wrong.
RETIRED = 85
#: The exit code of a process that an operator has asked to stop: nobody takes its place.
DISMISSED = 86
#: The exit code of a process that no other would fare better than, and then our own.
HOPELESS, FAILED = os.EX_CONFIG, 1

#: How the number of a process is kept.
NUMBER = struct.Struct("=q")

#: Seconds within which several signals are one wish: ``timeout`` signals the child and its group.
ONE_WISH = 0.5

#: Seconds until a signal is heard that came in the instant before the main thread began to wait.
HEARING = 0.5

#: The signals that ask us to stop.
STOPS = (signal.SIGTERM, signal.SIGINT)


class Supervisor:
    """Runs ``work`` in ``processes`` child processes, with a ``companion`` beside them."""

    def __init__(
        self,
        work: Work,
        *,
        processes: int,
        grace: timedelta,
        burst: bool,
        companion: Companion | None = None,
    ) -> None:
        self._work = work
        self._companion = companion
        self._processes = processes
        self._grace = grace
        self._burst = burst
        self._children: dict[ForkProcess, float] = {}
        #: The number of the process that leads, in memory that all share.
        self._leader = mmap.mmap(-1, NUMBER.size)
        #: When to start a process in the place of one that has died, one instant for each.
        self._vacancies: list[float] = []
        self._signals = 0
        self._asked_at = 0.0
        self._hopeless = False
        self._pause = FIRST_PAUSE
        self._lifeline = os.pipe()

    def run(self) -> int:
        """Supervise until told to stop, or until a burst is done; return the exit code."""
        connections.close_all()  # a forked child must not share a connection
        gc.collect()
        gc.freeze()  # a child's collector then touches, and so copies, nothing that all can share
        waker, wakee = os.pipe()
        os.set_blocking(wakee, False)
        signal.set_wakeup_fd(wakee, warn_on_full_buffer=False)
        for number in STOPS:
            signal.signal(number, self._on_signal)
        self._tend_companion()
        for _ in range(self._processes):
            self._start()
        self._let_one_lead()
        try:
            return self._watch(waker)
        finally:
            signal.set_wakeup_fd(-1)
            self._kill()
            if self._companion is not None:
                self._companion.end()
            for end in (waker, wakee, *self._lifeline):
                os.close(end)

    def _watch(self, waker: int) -> int:
        """Replace who dies, until a signal comes, everybody is done or nobody can do it."""
        while (self._children or self._vacancies) and not self._signals and not self._hopeless:
            ends = [child.sentinel for child in self._children]
            ends += self._companion.ends() if self._companion is not None else []
            if waker in wait([*ends, waker], timeout=self._until_vacancy()):
                os.read(waker, 64)
            self._tend_companion()
            for child in [each for each in self._children if not each.is_alive()]:
                self._bury(child)
            self._fill_vacancies()
            self._let_one_lead()
        code = self._stop() if self._children else 0
        return FAILED if self._hopeless else code

    def _bury(self, child: ForkProcess) -> None:
        """Let a child that died be replaced, later if it died young."""
        now = time.monotonic()
        lived = now - self._children.pop(child)
        if self._burst and child.exitcode == 0:
            return
        if child.exitcode == RETIRED:
            self._vacancies.append(now)
            return
        if child.exitcode == DISMISSED:
            return
        if child.exitcode == HOPELESS:
            self._hopeless = True
            return
        logger.error(
            "Worker process %s died (exit code %s); replacing it", child.pid, child.exitcode
        )
        if lived < YOUNG:
            self._vacancies.append(now + self._pause)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        else:
            self._vacancies.append(now)
            self._pause = FIRST_PAUSE

    def _until_vacancy(self) -> float | None:
        """Seconds until the next process is to be started; ``None``: no one is."""
        due = [max(0.0, each - time.monotonic()) for each in self._vacancies]
        if self._companion is not None and (pause := self._companion.until_due()) is not None:
            due.append(pause)
        return min(due, default=None)

    def _tend_companion(self) -> None:
        if self._companion is not None:
            self._companion.tend(self._fork, self._lifeline)

    def _fill_vacancies(self) -> None:
        now = time.monotonic()
        for due in [each for each in self._vacancies if each <= now]:
            self._vacancies.remove(due)
            self._start()

    def _stop(self) -> int:
        """Let everybody finish within the grace; a second signal, or the time, ends it."""
        logger.info(
            "Stopping: handlers that run have %g s to finish; a second signal ends them at once",
            self._grace.total_seconds(),
        )
        for child in self._children:
            child.terminate()
        deadline = time.monotonic() + self._grace.total_seconds() + OVERTIME
        while self._living() and self._signals < 2 and time.monotonic() < deadline:
            wait([child.sentinel for child in self._living()], timeout=0.1)
        if self._living():
            logger.warning("Ended by force; what was running comes back to another worker")
            self._kill()
            return STOPPED_BY_FORCE
        return 0

    def _living(self) -> list[ForkProcess]:
        return [child for child in self._children if child.is_alive()]

    def _kill(self) -> None:
        for child in self._living():
            child.kill()
            child.join()

    def _start(self) -> None:
        if self._companion is None:
            child = self._fork(partial(self._live, None))
        else:
            seat = self._companion.free(list(self._children))
            child = self._fork(partial(self._live, seat))
            self._companion.take(seat, child)
        self._children[child] = time.monotonic()

    def _let_one_lead(self) -> None:
        """Let the oldest process lead when the one that did is gone."""
        numbers = [child.pid for child in self._children]
        if numbers and NUMBER.unpack_from(self._leader)[0] not in numbers:
            NUMBER.pack_into(self._leader, 0, numbers[0])

    def _leads(self) -> bool:
        return bool(NUMBER.unpack_from(self._leader)[0] == os.getpid())

    def _fork(self, live: Callable[[], None]) -> ForkProcess:
        context = multiprocessing.get_context("fork")
        child = context.Process(target=live, daemon=False)
        # Until it has handlers of its own, a signal to the child must wait, not reach ours.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            child.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        return child

    def _live(self, seat: int | None) -> None:
        """What a child does: its work, until a signal or the supervisor's death."""
        stop = threading.Event()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to every process
        # A process manager may signal the whole group, so a second SIGTERM says nothing new here;
        # it is the supervisor that ends us by force. It may come while the first one is heard:
        # this queue's put may then begin anew within itself, and an event's set would wait for
        # itself for ever.
        asked: queue.SimpleQueue[None] = queue.SimpleQueue()
        signal.signal(signal.SIGTERM, lambda number, frame: asked.put(None))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        threading.Thread(target=self._follow, args=[asked], daemon=True).start()
        threading.Thread(target=_heed, args=[asked, stop], daemon=True).start()
        work = self._work
        if self._companion is not None and seat is not None:
            work = partial(work, seat=self._companion.sit(seat))
        codes: list[int] = []
        # Signals are for the main thread, and it hears them only while it does nothing else.
        thread = threading.Thread(target=lambda: codes.append(work(stop, self._leads)))
        thread.start()
        while thread.is_alive():
            thread.join(HEARING)
        # Handlers that outlived the grace must not keep the process.
        os._exit(codes[0] if codes else 1)

    def _follow(self, asked: queue.SimpleQueue[None]) -> None:
        """Ask for a stop when the supervisor is gone: its end of the lifeline closes with it."""
        os.close(self._lifeline[1])
        os.read(self._lifeline[0], 1)
        asked.put(None)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._signals or time.monotonic() - self._asked_at > ONE_WISH:
            self._signals += 1
            self._asked_at = time.monotonic()


def _heed(asked: queue.SimpleQueue[None], stop: threading.Event) -> None:
    asked.get()
    stop.set()
