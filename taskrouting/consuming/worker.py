"""What does one worker process do? Consume, hand to the pool, settle, drain, stop.

The thread that calls ``run`` owns the broker's socket and never runs a handler: it drains in short
ticks, sends heartbeats, and settles what the pool's threads have finished.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connections

from taskrouting import conf, signals
from taskrouting.exceptions import BrokerUnavailable
from taskrouting.policies import Batch
from taskrouting.routing import topology
from taskrouting.routing.subscriptions import Subscription, registry
from taskrouting.transport import receiving
from taskrouting.transport.broker import Broker, kept_until_received
from taskrouting.transport.messages import Arrival
from taskrouting.transport.outage import Outage
from taskrouting.transport.receiving import Receiver

from . import batches, delivery, ledger
from .faults import DatabaseAway
from .leases import Heartbeat, Leases
from .pool import Pool, keep_connections
from .presence import Presence
from .site import Site

logger = logging.getLogger("taskrouting.worker")

#: Seconds one drain may take: nothing in hand; something in hand (doubling from the first).
IDLE, SOONEST, LATEST = 0.5, 0.002, 0.1

#: Seconds between two looks at whether the last handlers are done.
BREATH = 0.02

#: Seconds a message waits here for a thread before it goes back for others to take.
PATIENCE = 1.0


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
    ) -> None:
        """``queues`` limits what is consumed; the others default to the settings.

        Raises ConfigurationError for a queue that no subscription declares.
        """
        settings = conf.current()
        self._broker = broker
        self._queues = topology.chosen(queues)
        self._threads = threads or settings.threads
        self._presence = Presence([each.name for each in self._queues], self._threads)
        self.name = self._presence.name
        self._dead = broker.dead_letter_queue(topology.current())
        self._batched = {each.queue: each for each in registry if each.batch}
        self._prefetch = prefetch
        self._grace = grace if grace is not None else settings.shutdown_grace
        self._settled: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._site = Site(
            worker=self.name,
            acknowledge=self._settled.put,
            leases=Leases(),
            kept=kept_until_received(settings),
        )
        self._pools = (Pool(self._threads, "handler"), Pool(1, "batch"))
        self._collected: dict[str, list[Arrival]] = {}
        self._flush_at: dict[str, float] = {}
        self._pause = SOONEST
        self._active_at: float | None = None
        self._leave_at: float | None = None

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
        heartbeat = Heartbeat(self._site.leases, self._presence.beat)
        heartbeat.start()
        names = [each.name for each in self._queues]
        signals.emit(signals.worker_started, Worker, worker=self.name, queues=names)
        try:
            self._work(stop)
        finally:
            try:
                self._await_handlers()
            finally:
                drained = self._leave()
                heartbeat.stop()
                signals.emit(signals.worker_stopped, Worker, worker=self.name, drained=drained)
        return drained

    def _work(self, stop: threading.Event) -> None:
        """Hold one session after another, through every outage of broker and database."""
        outage = Outage(f"worker {self.name}")
        while not stop.is_set():
            try:
                _ask_database()
                self._site.leases.renew()  # before anybody can take a lease for lapsed
                with receiving.receiver(self._broker) as receiver:
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
        receiver.consume({each.name: self._room(each) for each in self._queues}, self._take)
        if self._dead:
            receiver.consume({self._dead: self._threads}, self._take_given_up)
        self._active_at = time.monotonic()

    def _room(self, queue: topology.Queue) -> int:
        """How many unsettled messages of ``queue`` to hold."""
        prefetch = self._prefetch or queue.prefetch
        batched = self._batched.get(queue.name)
        if batched and batched.batch:
            return max(prefetch, 2 * batched.batch.size)
        external = any(each.effects == "external" for each in registry.on_queue(queue.name))
        return min(prefetch, self._threads) if external else prefetch

    def _session(self, receiver: Receiver, stop: threading.Event) -> None:
        while not stop.is_set():
            self._tick(receiver)
            self._share(receiver)

    def _tick(self, receiver: Receiver) -> None:
        """Settle, hand over what is due, and take what comes within a moment."""
        active = self._settle(receiver)
        self._reap()
        self._flush()
        active |= receiver.drain(self._moment(receiver))
        if active or self._in_hand():
            self._active_at = time.monotonic()
        self._pause = SOONEST if active else min(self._pause * 2, LATEST)

    def _moment(self, receiver: Receiver) -> float:
        """How long to listen: briefly while something in hand may soon need this thread."""
        moment = self._pause if receiver.unsettled or receiver.paused else IDLE
        if self._flush_at:
            moment = min(moment, max(min(self._flush_at.values()) - time.monotonic(), 0.001))
        return moment

    def _take(self, arrival: Arrival) -> None:
        """Hand one message to the pool, or collect it for its batch."""
        subscription = self._batched.get(arrival.queue)
        if not arrival.generation:
            delivery.deliver(arrival, self._site)  # the broker has no copy to fall back on
            return
        if subscription is None:
            self._pools[0].submit([arrival], lambda: delivery.deliver(arrival, self._site))
            return
        batch = _batch(subscription)
        collected = self._collected.setdefault(arrival.queue, [])
        collected.append(arrival)
        self._flush_at.setdefault(arrival.queue, time.monotonic() + batch.wait.total_seconds())
        if len(collected) >= batch.size:
            self._hand_over(arrival.queue)

    def _take_given_up(self, arrival: Arrival) -> None:
        """Take a message that the broker itself has given up on."""
        self._pools[0].submit([arrival], lambda: delivery.keep_given_up(arrival, self._site))

    def _flush(self) -> None:
        """Hand over the batches that have waited long enough."""
        now = time.monotonic()
        for name in [name for name, due in self._flush_at.items() if due <= now]:
            self._hand_over(name)

    def _hand_over(self, name: str) -> None:
        arrivals = self._collected.pop(name, [])
        self._flush_at.pop(name, None)
        self._pools[1].submit(arrivals, lambda: batches.deliver(arrivals, self._site))

    def _settle(self, receiver: Receiver) -> bool:
        """Tell the broker what is settled; return whether there was anything."""
        some = False
        while True:
            try:
                receiver.acknowledge(self._settled.get_nowait())
            except queue.Empty:
                return some
            some = True

    def _reap(self) -> None:
        """Raise what went wrong outside any handler: it ends the session, or the process."""
        for pool in self._pools:
            for error in pool.reap():
                raise error

    def _share(self, receiver: Receiver) -> None:
        """Give back what waits in vain for a thread; take again when one is free."""
        waiting = self._pools[0].withdraw(PATIENCE)
        for arrival in waiting:
            receiver.hand_back(arrival)
        receiver.pause({arrival.queue for arrival in waiting if arrival.generation})
        if self._pools[0].free:
            receiver.resume()

    def _end_session(self, receiver: Receiver, stop: threading.Event) -> None:
        """Take nothing more, hand back what has not begun, finish what has."""
        if stop.is_set():
            self._excuse()
        receiver.cancel()
        unbegun = [arrival for pool in self._pools for arrival in pool.withdraw()]
        unbegun += [arrival for arrivals in self._collected.values() for arrival in arrivals]
        self._collected.clear()
        self._flush_at.clear()
        for arrival in unbegun:
            receiver.hand_back(arrival)
        while stop.is_set() and self._grace_left():
            self._settle(receiver)
            receiver.drain(BREATH)
        self._settle(receiver)

    def _excuse(self) -> None:
        """Let whatever ends our handlers from now on be no crash of theirs."""
        try:
            ledger.excuse(self._site.leases.tokens())
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Could not say to the database that we are stopping: %s", error)

    def _await_handlers(self) -> None:
        """Wait within the grace for handlers that still run without a broker."""
        while self._grace_left():
            time.sleep(BREATH)

    def _leave(self) -> bool:
        """Hand over what still runs; return whether nothing did."""
        self._site.leaving.set()
        for pool in self._pools:
            pool.close()
        try:
            ledger.interrupt(self._site.leases.tokens())
            self._presence.leave()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Could not say goodbye to the database: %s", error)
        connections.close_all()
        return not self._busy()

    def _grace_left(self) -> bool:
        """Whether to go on waiting for handlers that still run."""
        if self._leave_at is None:
            self._leave_at = time.monotonic() + self._grace.total_seconds()
        self._reap()
        return self._busy() and time.monotonic() < self._leave_at

    def _busy(self) -> bool:
        return any(pool.busy for pool in self._pools)

    def _in_hand(self) -> bool:
        return self._busy() or bool(self._collected) or not self._settled.empty()


def _batch(subscription: Subscription) -> Batch:
    assert subscription.batch is not None  # noqa: S101  # for the type checker
    return subscription.batch


def _ask_database() -> None:
    """Raise a database error now rather than after messages have been taken."""
    connections[conf.current().database].ensure_connection()
    with connections[conf.current().database].cursor() as cursor:
        cursor.execute("SELECT 1")
