"""What runs beside what in one process? The worker and the relays, which do not know each other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.db import DatabaseError, InterfaceError, connections

from taskrouting import conf
from taskrouting.consuming.retirement import Retirement
from taskrouting.consuming.supervisor import HOPELESS, RETIRED
from taskrouting.consuming.worker import Worker
from taskrouting.exceptions import ConfigurationError, TaskroutingError, TopologyConflict
from taskrouting.management.base import aliases, refuse_unmigrated
from taskrouting.publishing.relay import Relay
from taskrouting.routing import topology
from taskrouting.transport import broker, store
from taskrouting.transport.messages import OUTBOX

logger = logging.getLogger("taskrouting")

#: Seconds a relay has to finish its batch when the worker is done.
LAST_BATCH = 3.0
#: What would be the same for every process: nobody is started in the place of one that met it.
LASTING = (ConfigurationError, TopologyConflict)

#: Seconds without anything in hand, and nothing due, after which a burst is done.
QUIET = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one process is to run."""

    worker: bool = True
    relay: bool = True
    burst: bool = False
    queues: list[str] | None = None
    threads: int | None = None
    prefetch: int | None = None
    grace: timedelta | None = None

    #: Messages, and bytes of resident memory, after which the process is replaced.
    max_events: int | None = None
    max_rss: int | None = None

    def prepared(self) -> Plan:
        """Check the plan before any process is started.

        Raises ConfigurationError for a wrong setting, an unknown queue, or missing tables.
        """
        broker.current()
        refuse_unmigrated()
        self.queue_names()
        return self

    def queue_names(self) -> list[str]:
        """The names of the queues that will be consumed."""
        return [each.name for each in topology.chosen(self.queues)]

    def run(self, stop: threading.Event) -> int:
        """Run the plan in this process until ``stop`` is set; return the exit code."""
        process = _Process(self, stop)
        return process.run()


class _Process:
    """One process at work."""

    def __init__(self, plan: Plan, stop: threading.Event) -> None:
        self._plan = plan
        self._stop = stop
        self._relays_stop = threading.Event()
        self._code = 0
        self._lock = threading.Lock()
        self._broker = here = broker.current()
        self._retirement = Retirement(max_events=plan.max_events, max_rss=plan.max_rss)
        self._worker = _worker(plan, here, self._retirement) if plan.worker else None
        self._relays = [Relay(here, alias) for alias in aliases()] if plan.relay else []

    def run(self) -> int:
        threads = [self._thread(partial(each.run, self._relays_stop)) for each in self._relays]
        if self._plan.burst:
            self._thread(self._end_when_quiet)
        try:
            if self._worker is not None:
                self._worker.run(self._stop)
            else:
                self._stop.wait()
        except Exception as error:  # noqa: BLE001  # it is told, and ends the process
            self._fail(error)
        finally:
            self._relays_stop.set()
        for thread in threads:
            thread.join(timeout=LAST_BATCH)
        if self._code:
            return self._code
        return RETIRED if self._retirement.reason else 0

    def _thread(self, work: Callable[[], object]) -> threading.Thread:
        """Start a thread whose failure ends the process, for the supervisor to replace."""

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001  # it is told, and ends the process
                self._fail(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def _fail(self, error: Exception) -> None:
        """End the process over an error; one of our own says what to do in a sentence, once."""
        with self._lock:
            if not isinstance(error, TaskroutingError):
                logger.exception("This worker process failed.", exc_info=error)
            elif not self._code:
                logger.error("%s", error)
            self._code = HOPELESS if isinstance(error, LASTING) else 1
        self._stop.set()

    def _end_when_quiet(self) -> None:
        """End a burst when nothing is due, nothing is in hand, and that has lasted."""
        while not self._stop.wait(0.1):
            if self._quiet():
                self._stop.set()
        connections.close_all()

    def _quiet(self) -> bool:
        quiet = [relay.quiet_for for relay in self._relays]
        if self._worker is not None:
            quiet.append(self._worker.quiet_for)
        if min(quiet, default=QUIET) < QUIET:
            return False
        try:
            return not any(store.is_due(using=alias, queues=names) for alias, names in self._ours())
        except (DatabaseError, InterfaceError):
            connections.close_all()
            return False

    def _ours(self) -> list[tuple[str, list[str] | None]]:
        """Where, and in which queues, what waits is for this process to move."""
        central = conf.current().database
        embedded = self._broker.can.embedded
        ours: list[tuple[str, list[str] | None]] = []
        if self._relays:
            ours += [(alias, [OUTBOX] if embedded else None) for alias in aliases()]
        if self._worker is not None and embedded:
            ours.append((central, self._plan.queue_names()))
        return ours


def _worker(plan: Plan, here: broker.Broker, retirement: Retirement) -> Worker:
    return Worker(
        here,
        queues=plan.queues,
        threads=plan.threads,
        prefetch=plan.prefetch,
        grace=plan.grace,
        retirement=retirement,
    )


def talk() -> None:
    """Let a worker be heard where the project's ``LOGGING`` says nothing about us or the root."""
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
