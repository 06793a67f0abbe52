"""What runs beside what in one process? The worker and the relays, which do not know each other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.db import DatabaseError, InterfaceError, connections

from taskrouting import conf, health, instruments
from taskrouting.alerts import watching
from taskrouting.consuming import pauses
from taskrouting.consuming.retirement import Retirement
from taskrouting.consuming.seats import Seat
from taskrouting.consuming.supervisor import DISMISSED, HOPELESS, RETIRED
from taskrouting.consuming.worker import Worker
from taskrouting.exceptions import ConfigurationError, TaskroutingError, TopologyConflict
from taskrouting.instruments import figures
from taskrouting.instruments.vitals import Vitals
from taskrouting.management.base import aliases, refuse_unmigrated
from taskrouting.management.reporting import Reporter
from taskrouting.management.sweeping import Sweeper
from taskrouting.operators import sweeps
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

    def run(
        self,
        stop: threading.Event,
        leads: Callable[[], bool] = lambda: True,
        seat: Seat | None = None,
        counting: bool = False,
    ) -> int:
        """Run the plan in this process until ``stop`` is set; return the exit code.

        The one process that ``leads`` is woken for every event that is to be relayed, and counts
        what waits. The others help where much waits, and take over within a second. Who is watched
        reports to its seat, and counts for metrics if it is ``counting``.
        """
        process = _Process(self, stop, leads)
        if seat is None:
            return process.run()
        reporter = Reporter(seat, process.vitals, process.consumes, counting=counting)
        reporter.start(stop)
        try:
            return process.run()
        finally:
            reporter.end()


class _Process:
    """One process at work."""

    def __init__(self, plan: Plan, stop: threading.Event, leads: Callable[[], bool]) -> None:
        self._plan = plan
        self._stop = stop
        self._leads = leads
        self._relays_stop = threading.Event()
        self._code = 0
        self._lock = threading.Lock()
        self.vitals = Vitals()
        self._broker = here = broker.current()
        self._retirement = Retirement(max_events=plan.max_events, max_rss=plan.max_rss)
        self._worker = _worker(plan, here, self._retirement) if plan.worker else None
        self._emptied = aliases() if plan.relay else []
        self._relays = [
            Relay(here, alias, listens=leads, resting=pauses.paused) for alias in self._emptied
        ]
        # Every process takes its turn: which of them is first, the database decides.
        self._sweepers = [Sweeper()] if plan.relay else []

    def consumes(self) -> bool:
        """Say whether the worker has begun to consume, if there is one."""
        return self._worker is None or self._worker.consumes

    def run(self) -> int:
        with figures.collecting(self._backlog if self._plan.relay else None):
            return self._run()

    def _backlog(self) -> dict[str, int]:
        """Count what waits, if this is the process that does."""
        return health.backlog() if self._leads() else {}

    def _run(self) -> int:
        relays = zip(self._emptied, self._relays, strict=True)
        work = [partial(self._relay, *each) for each in relays]
        work += [partial(each.run, self._relays_stop) for each in self._sweepers]
        threads = [self._thread(each) for each in work]
        if self._plan.burst:
            self._thread(self._end_when_quiet)
        elif conf.current().alerts.watched:
            self._thread(partial(watching.watch, self._stop))
        try:
            if self._worker is not None:
                self._worker.run(self.vitals.loop("worker", self._stop))
            else:
                self._stop.wait()
        except Exception as error:  # noqa: BLE001  # it is told, and ends the process
            self._fail(error)
        finally:
            self._relays_stop.set()
        for thread in threads:
            thread.join(timeout=LAST_BATCH)
        instruments.flush()
        if self._code:
            return self._code
        if not self._retirement.reason:
            came_late = self._worker is not None and self._worker.turned_away
            return RETIRED if self._plan.burst and came_late else 0
        return RETIRED if self._retirement.replaced else DISMISSED

    def _relay(self, alias: str, relay: Relay) -> None:
        relay.run(self.vitals.loop(f"relay of {alias!r}", self._relays_stop))

    def _thread(self, work: Callable[[], object]) -> threading.Thread:
        """Start a thread whose failure ends the process, for the supervisor to replace."""

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001  # it is told, and ends the process
                self._fail(error)
            finally:
                connections.close_all()  # what has failed has not closed its own

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
                self._tell_what_stays()
        connections.close_all()

    def _quiet(self) -> bool:
        # Asked again in the end: what was claimed meanwhile is not due, but in hand.
        return self._idle() and not self._anything_due() and self._idle()

    def _idle(self) -> bool:
        quiet = [relay.quiet_for for relay in self._relays]
        if self._worker is not None:
            quiet.append(self._worker.quiet_for)
        return min(quiet, default=QUIET) >= QUIET

    def _anything_due(self) -> bool:
        """Say whether there is something to do now; while nobody can say, there may be."""
        try:
            if self._sweepers and (step := sweeps.until_due()) is not None and step <= 0:
                return True
            return any(store.is_due(using=alias, queues=names) for alias, names in self._ours())
        except (DatabaseError, InterfaceError):
            connections.close_all()
            return True

    def _ours(self) -> list[tuple[str, list[str] | None]]:
        """Where, and in which queues, what waits is for this process to move."""
        central = conf.current().database
        embedded = self._broker.can.embedded
        ours: list[tuple[str, list[str] | None]] = []
        if self._relays:
            ours += [(alias, [OUTBOX] if embedded else None) for alias in aliases()]
        if self._worker is not None and embedded:
            ours.append((central, sorted(set(self._plan.queue_names()) - self._worker.paused)))
        return ours

    def _tell_what_stays(self) -> None:
        """Say that a burst leaves what it was not to take."""
        left = self._worker.paused if self._worker is not None else ()
        for name in sorted(set(left) & set(self._plan.queue_names())):
            logger.warning("Queue %r is paused: what waits in it stays. Resume it with "
                           "resume_queue, and run the burst again.", name)  # fmt: skip


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
