"""What does one worker process do? Consume, hand to the pool, settle, drain, stop.

The thread that calls ``run`` owns the broker's socket and never runs a handler: it drains in short
ticks, sends heartbeats, and settles what the pool's threads have finished.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence, Set
from datetime import timedelta
from functools import partial

from django.db import DatabaseError, InterfaceError, connections

from taskrouting import conf, signals
from taskrouting.exceptions import BrokerUnavailable
from taskrouting.routing import topology
from taskrouting.transport import receiving
from taskrouting.transport.broker import Broker, kept_until_received
from taskrouting.transport.messages import Arrival
from taskrouting.transport.outage import Outage
from taskrouting.transport.receiving import Receiver
from taskrouting.transport.watch import Watch

from . import batches, delivery, faults, given_up, groups, ledger
from .appetite import Appetite
from .collecting import Collector
from .faults import DatabaseAway
from .gathering import Gatherer
from .leases import Heartbeat
from .orders import Orders
from .pool import Pool, keep_connections
from .presence import Load, Presence
from .retirement import Retirement, resident
from .site import Site

logger = logging.getLogger("taskrouting.worker")

#: Seconds one drain may take: nothing in hand; something in hand (doubling from the first).
IDLE, SOONEST, LATEST = 0.5, 0.002, 0.1

#: Seconds between two looks at whether the last handlers are done.
BREATH = 0.02


class Worker:
    """Consumes queues in this process until it is told to stop."""

    def __init__(
        self,
        broker: Broker,
        *,
        queues: Sequence[str] | None = None,
        threads: int | None = None,
        prefetch: int | None = None,
        grace: timedelta | None = None,
        retirement: Retirement | None = None,
    ) -> None:
        """``queues`` limits what is consumed; the others default to the settings.

        ``retirement`` says when a fresh process is to go on.
        Raises ConfigurationError for a queue that no subscription declares.
        """
        self._broker = broker
        self._watch = Watch(broker)
        self._queues = topology.chosen(queues)
        self._threads = threads or conf.current().threads
        names = [each.name for each in self._queues]
        self._presence = Presence(names, self._threads, self._load)
        self.name = self._presence.name
        self._grace = grace if grace is not None else conf.current().shutdown_grace
        self._retirement = retirement or Retirement()
        self._settled: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._site = self._make_site()
        self._orders = Orders(self.name, self._retirement)
        self._heartbeat = Heartbeat(self._site.leases, self._presence.beat, self._orders.look)
        self._pools = (Pool(self._threads, "handler"), Pool(1, "batch"))
        self._collector = Collector(self._hand_over)
        run = partial(groups.run, site=self._site)
        self._gatherer = Gatherer(self._pools[0], run, self._site.leaving)
        self._appetite = Appetite(
            self._queues, self._pools[0], self._gatherer, self._collector, self._orders, prefetch
        )
        self._pause = SOONEST
        self._active_at: float | None = None
        self._stop = threading.Event()
        #: Whether something came when it was to take nothing more.
        self.turned_away = False

    @property
    def consumes(self) -> bool:
        """Whether it has begun to consume."""
        return self._active_at is not None

    @property
    def paused(self) -> Set[str]:
        """The queues that operators have paused."""
        return self._orders.paused

    @property
    def quiet_for(self) -> float:
        """Seconds since anything was in hand; 0 while something is, or before it consumes."""
        if self._active_at is None or self._in_hand():
            return 0.0
        return time.monotonic() - self._active_at

    def run(self, stop: threading.Event) -> bool:
        """Work until ``stop`` is set; then finish what runs, within the grace.

        Returns whether everything was finished. What was not is handed over to other workers.
        """
        keep_connections()
        self._stop = stop
        self._retirement.begin(stop)
        self._heartbeat.start()
        threading.Thread(target=self._limit_grace, name="grace", daemon=True).start()
        names = [each.name for each in self._queues]
        signals.emit(signals.worker_started, Worker, worker=self.name, queues=names)
        try:
            self._work(stop)
        finally:
            stop.set()
            try:
                self._await_handlers()
            finally:
                self._heartbeat.stop()
                drained = self._leave()
                signals.emit(signals.worker_stopped, Worker, worker=self.name, drained=drained)
        return drained

    def _make_site(self) -> Site:
        return Site(
            worker=self.name,
            acknowledge=self._settled.put,
            kept=kept_until_received(conf.current()),
            retire=self._retirement.now,
        )

    def _work(self, stop: threading.Event) -> None:
        """Hold one session after another, through every outage of broker and database."""
        outage = Outage(f"worker {self.name}")
        while not stop.is_set():
            try:
                faults.ask_database()
                self._site.leases.renew()  # before anybody can take a lease for lapsed
                self._presence.beat()  # before a binding of ours reaches a worker of older code
                self._orders.look()  # before anything is taken from a queue that is paused
                stop.wait(outage.mercy)
                with receiving.receiver(self._broker, self._watch) as receiver:
                    self._broker.declare(receiver.connection, topology.current())
                    self._consume(receiver)
                    outage.over()
                    try:
                        self._session(receiver, stop)
                    finally:
                        self._end_session(receiver, stop)
            except (BrokerUnavailable, DatabaseAway, DatabaseError, InterfaceError) as error:
                connections.close_all()
                stop.wait(outage.noticed(error).total_seconds())

    def _consume(self, receiver: Receiver) -> None:
        self._gatherer.begin_anew()  # what an earlier session left was handed back with it
        self._appetite.begin(receiver, self._take)
        if dead := self._broker.dead_letter_queue(topology.current()):
            receiver.consume({dead: self._threads}, self._take_given_up)
        self._active_at = time.monotonic()

    def _session(self, receiver: Receiver, stop: threading.Event) -> None:
        while not stop.is_set():
            self._tick(receiver)
            self._appetite.adjust(receiver)
            self._retirement.look()

    def _tick(self, receiver: Receiver) -> None:
        """Settle, hand over what is due, and take what comes within a moment."""
        active = self._settle(receiver)
        self._reap()
        self._collector.flush()
        self._gatherer.flush()
        active |= receiver.drain(self._moment(receiver))
        if active or self._in_hand():
            self._active_at = time.monotonic()
        self._pause = SOONEST if active else min(self._pause * 2, LATEST)

    def _moment(self, receiver: Receiver) -> float:
        """How long to listen: briefly while something in hand may soon need this thread."""
        hungry_soon = receiver.unsettled or self._appetite.sated(receiver)
        moment = self._pause if hungry_soon else IDLE
        due = self._collector.next_due()
        return moment if due is None else min(moment, max(due, 0.001))

    def _take(self, arrival: Arrival) -> None:
        """Hand one message to the pool, or collect it for its batch."""
        if self._stop.is_set():
            self.turned_away = True
            return  # it came at the last moment, and goes back unsettled
        if self._appetite.declines(arrival):
            return
        if arrival.queue in self._collector.batches:
            self._collector.add(arrival)
        elif self._gatherer.takes(arrival):
            self._gatherer.add(arrival)
        else:
            self._pools[0].submit([arrival], lambda: delivery.deliver(arrival, self._site))

    def _hand_over(self, arrivals: list[Arrival]) -> None:
        self._pools[1].submit(arrivals, lambda: batches.deliver(arrivals, self._site))

    def _take_given_up(self, arrival: Arrival) -> None:
        """Take a message that the broker itself has given up on."""
        self._pools[0].submit([arrival], lambda: given_up.take(arrival, self._site))

    def _settle(self, receiver: Receiver) -> bool:
        """Tell the broker what is settled; return whether there was anything."""
        settled: list[Arrival] = []
        while not self._settled.empty():
            settled.append(self._settled.get())
        receiver.acknowledge(*settled)
        self._retirement.settled(len(settled))
        return bool(settled)

    def _reap(self) -> None:
        """Raise what went wrong outside any handler: it ends the session, or the process."""
        for pool in self._pools:
            for error in pool.reap():
                raise error

    def _end_session(self, receiver: Receiver, stop: threading.Event) -> None:
        """Take nothing more, hand back what has not begun, finish what has."""
        receiver.cancel()
        unbegun = [arrival for pool in self._pools for arrival in pool.withdraw()]
        waiting = [*self._collector.withdraw(), *self._gatherer.withdraw()]
        for arrival in [*unbegun, *waiting]:
            receiver.hand_back(arrival)
        while stop.is_set() and self._grace_left():
            for arrival in self._gatherer.withdraw():
                receiver.hand_back(arrival)
            self._settle(receiver)
            receiver.drain(BREATH)
        self._settle(receiver)

    def _await_handlers(self) -> None:
        """Wait within the grace for handlers that still run without a broker."""
        while self._grace_left():
            time.sleep(BREATH)
        self._site.leaving.set()

    def _leave(self) -> bool:
        """Hand over what still runs; return whether nothing did."""
        for pool in self._pools:
            pool.close()
        try:
            ledger.interrupt(self._site.leases.tokens())
            self._presence.leave()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Could not say goodbye to the database: %s", error)
        connections.close_all()
        return not any(pool.held for pool in self._pools)

    def _limit_grace(self) -> None:
        """From the stop on, let handlers finish for the grace; then end what they hold.

        In a thread of its own: on SQLite a handler's lock may be what the main one waits for.
        """
        self._stop.wait()
        self._heartbeat.excuse()
        self._site.leaving.wait(self._grace.total_seconds())
        self._site.leaving.set()
        self._site.runs.sever()

    def _grace_left(self) -> bool:
        """Whether to go on waiting for handlers that still run."""
        try:
            self._reap()
        except DatabaseAway as error:
            logger.warning("Not settled, so handed back: %s", error)
        return self._busy() and not self._site.leaving.is_set()

    def _busy(self) -> bool:
        """Whether anything runs that may still end by itself."""
        return sum(pool.running for pool in self._pools) > self._site.runs.lost

    def _load(self) -> Load:
        """How much there is to do just now, for the heartbeat to tell."""
        held = self._appetite.held + len(self._site.leases.tokens())
        return Load(busy=self._pools[0].running, in_hand=held, memory=resident())

    def _in_hand(self) -> bool:
        waiting = bool(self._collector) or bool(self._gatherer)
        held = sum(pool.held for pool in self._pools) > self._site.runs.lost
        return held or waiting or not self._settled.empty()
