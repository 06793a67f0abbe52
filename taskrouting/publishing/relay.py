"""How do events leave the outbox? In batches, and a row goes only when the broker has its message.

A fault of the broker charges no row: what was claimed is released and we wait. A row the broker
refuses, and one that no queue wants, become dead letters first and are deleted then, since the two
tables may be in two databases.

========================  ================================================================
broker                    what a pass does
========================  ================================================================
AMQP                      publish to the exchange, ``mandatory``, delete when confirmed
others, until_confirmed   route, publish to each queue, delete when written
others, until_received    route into one row per queue; publish those, and again later,
                          until the consumer of the queue deletes them; but not while they only
                          wait behind others, where the broker shows that (Redis)
``django://``             route into one row per queue; its consumers claim them
========================  ================================================================
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import chain, islice

from django.db import DatabaseError, InterfaceError, connections, transaction

from taskrouting import around, conf, signals
from taskrouting.exceptions import BrokerBlocked, BrokerUnavailable
from taskrouting.routing import topology
from taskrouting.transport import broker as brokers
from taskrouting.transport import routes, sending, store, wakeup
from taskrouting.transport.messages import OUTBOX
from taskrouting.transport.outage import Outage
from taskrouting.transport.sending import Fate, Meanwhile, Refusal, Sender
from taskrouting.transport.store import Claimed

from . import claiming, keeping
from .claiming import BATCH, Claims
from .fates import keep_refused, tell, worst
from .publisher import keep_unroutable, spread

logger = logging.getLogger("taskrouting.relay")

#: Rows that travel at once to a broker that confirms nothing.
SLICE = 20

#: Waiting between two looks, when nobody wakes us, in seconds.
SAFETY_POLL = 1.0

#: A nack means that the broker is full.
BACKPRESSURE = timedelta(seconds=1)


class Relay:
    """Empties the outbox of one database; belongs to one thread."""

    def __init__(
        self,
        broker: brokers.Broker,
        using: str,
        *,
        listens: Callable[[], bool] = lambda: True,
        resting: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """While one ``listens`` it is woken by every commit; else it looks now and then.

        ``resting`` names the queues that nobody takes from, since an operator has paused them.
        """
        self._resting = resting
        self._listens = listens
        self._broker = broker
        self._using = using
        self._central = using == conf.current().database
        self._kept = brokers.kept_until_received(conf.current())
        self._claims = Claims(using)
        #: What was sent, until the database knows its fate.
        self._untold: tuple[Sequence[Claimed], Sequence[Fate | Refusal]] = ([], [])
        self._active_at = time.monotonic()
        self._outage = Outage(f"relay of {using!r}")
        self._stop: threading.Event

    @property
    def quiet_for(self) -> float:
        """Seconds since there was something to move."""
        return time.monotonic() - self._active_at

    def run(self, stop: threading.Event) -> None:
        """Relay until ``stop`` is set, through every outage of broker and database."""
        self._stop = stop
        while not stop.is_set():
            try:
                self._session()
            except BrokerUnavailable as error:
                stop.wait(self._outage.noticed(error).total_seconds())
            except (DatabaseError, InterfaceError) as error:
                connections.close_all()
                stop.wait(self._outage.noticed(error).total_seconds())
        with suppress(DatabaseError, InterfaceError):
            self._claims.let_go()
        connections.close_all()

    def _session(self) -> None:
        """Relay on one connection for as long as it holds."""
        if self._broker.can.embedded:
            self._loop(None, routes.of_database(conf.current().database))
            return
        current = topology.current()
        with self._broker.connect() as connection:
            self._broker.declare(connection, current)
            sender = sending.sender(
                self._broker, connection, current.exchange, conf.current().compression
            )
            known = None if self._broker.can.routes else routes.of_connection(connection)
            self._loop(sender, known)

    def _loop(self, sender: Sender | None, known: routes.Routes | None) -> None:
        # On the embedded broker's own database a publish needs no relay; what is in the outbox
        # there came before the broker was changed, and is in no hurry.
        needed = sender is not None or not self._central
        waiter: wakeup.Waiter | None = None
        try:
            self._make_good()
            self._stop.wait(self._outage.mercy)
            while not self._stop.is_set():
                if self._pass(sender, known) >= BATCH:
                    continue  # there is more; else a commit from now on wakes us
                if waiter is None and needed and self._listens():
                    waiter = wakeup.waiter(self._using)
                if waiter is not None:
                    waiter.wait(SAFETY_POLL)
                else:
                    self._stop.wait(SAFETY_POLL)
            self._claims.let_go()
        finally:
            if waiter is not None:
                waiter.close()

    def _make_good(self) -> None:
        """Finish what the database was away for: note what was sent, give back what was not."""
        self._settle(*self._untold)
        self._claims.abandon()

    def _pass(self, sender: Sender | None, known: routes.Routes | None) -> int:
        """Move what is due; return how many rows that were."""
        if sender is not None:
            sender.pause(partial(self._hold, []))
        self._claims.begin()
        moved = self._move(sender, known)
        self._outage.over()
        signals.emit(signals.relay_passed, Relay, using=self._using, moved=moved)
        if moved:
            self._active_at = time.monotonic()
        return moved

    def _move(self, sender: Sender | None, known: routes.Routes | None) -> int:
        outbox = self._claims.outbox()
        if sender is None or (known is not None and self._kept):
            assert known is not None  # noqa: S101  # for the type checker
            self._spread(outbox, known, hasty=sender is None)
        else:
            self._send_outbox(outbox, sender, known)
        if sender is None or not self._central:
            return len(outbox)
        return len(outbox) + sum(
            self._send_addressed(queue, sender)
            for queue in store.queues(using=self._using)
            if queue != OUTBOX
        )

    def _spread(self, outbox: Sequence[Claimed], known: routes.Routes, *, hasty: bool) -> None:
        """Turn each outbox row into one row per queue, in the central database.

        It may be ``hasty`` where nobody outside the database will name those rows: a row that a
        dying server forgets leaves its number to another.
        """
        central = conf.current().database
        with transaction.atomic(using=central):
            copies = [copy for row in outbox for copy in spread(row.message, known)]
            store.put(copies, using=central)
            if self._central:
                store.settle(outbox, using=central)
            if hasty and self._central:
                store.in_haste(using=central)
        if not self._central:
            store.settle(outbox, using=self._using)
        tell(outbox)

    def _send_outbox(
        self, outbox: Sequence[Claimed], sender: Sender, known: routes.Routes | None
    ) -> None:
        if known is None:
            more = self._claims.look_ahead if len(outbox) == BATCH else sending.idle
            self._settle(outbox, self._sent(sender, outbox, more))
            return
        for some in _slices(outbox):
            copies = [
                [replace(row, message=each) for each in spread(row.message, known)] for row in some
            ]
            fates = iter(self._sent(sender, list(chain.from_iterable(copies))))
            self._settle(some, [worst(list(islice(fates, len(each)))) for each in copies])

    def _send_addressed(self, queue: str, sender: Sender) -> int:
        """Send what is addressed to one queue: retries, lapsed leases, rows kept until received."""
        due = self._claims.of(queue)
        if not self._kept:
            self._settle(due, self._sent(sender, due))
            return len(due)
        sent_before = any(row.deliveries > 1 for row in due)
        rests = sent_before and queue in self._resting()
        to_send, queueing = keeping.parted(due, sender, rests=rests)
        self._expect(queueing)
        for some in _slices(to_send):
            self._send_and_keep(some, sender)
        return len(due)

    def _send_and_keep(self, rows: Sequence[Claimed], sender: Sender) -> None:
        """Send ``rows``, and keep those that the broker has until they are received."""
        fates = self._sent(sender, [keeping.marked(row) for row in rows])
        told = list(zip(rows, fates, strict=True))
        arrived = [row for row, fate in told if fate is Fate.CONFIRMED]
        self._expect(arrived)
        tell([row for row in arrived if row.deliveries == 1])
        failed = [(row, fate) for row, fate in told if fate is not Fate.CONFIRMED]
        self._settle([row for row, _ in failed], [fate for _, fate in failed])

    def _expect(self, rows: Sequence[Claimed]) -> None:
        """Keep ``rows`` until they are received, or due to be sent again."""
        for deliveries in {row.deliveries for row in rows}:
            alike = [row for row in rows if row.deliveries == deliveries]
            store.release(alike, using=self._using, delay=keeping.until_again(deliveries))

    def _sent(
        self, sender: Sender, rows: Sequence[Claimed], meanwhile: Meanwhile = sending.idle
    ) -> list[Fate | Refusal]:
        """Send ``rows``; when the broker goes away, give them back as if nobody had looked."""
        if not rows:
            return []
        try:
            hold, sent = partial(self._hold, rows), [row.message for row in rows]
            with around.send(sent):
                return sender.send(sent, hold, meanwhile)
        except BrokerUnavailable:
            store.release(rows, using=self._using, seen=False)
            self._claims.let_go()
            raise

    def _hold(self, rows: Sequence[Claimed], fault: BrokerBlocked) -> timedelta:
        """Keep hold of ``rows``, which are on their way to a broker that is blocked."""
        if self._stop.is_set():
            raise fault
        store.extend([*rows, *self._claims.ahead], claiming.CLAIM, using=self._using)
        return self._outage.noticed(fault)

    def _settle(self, rows: Sequence[Claimed], fates: Sequence[Fate | Refusal]) -> None:
        """Delete what arrived, keep what did not, and bury what never will."""
        self._untold = rows, fates
        gone: list[Claimed] = []
        later: list[Claimed] = []
        for row, fate in zip(rows, fates, strict=True):
            if fate in (Fate.NACKED, Fate.UNKNOWN):
                later.append(row)
                continue
            if fate is Fate.UNROUTABLE and row.message.queue == OUTBOX:
                keep_unroutable(row.message)
            elif fate is Fate.UNROUTABLE:
                keep_refused(row, "the queue is not there")
            elif isinstance(fate, Refusal):
                keep_refused(row, fate.reason)
            gone.append(row)
        store.settle(gone, using=self._using)
        store.release(later, using=self._using, delay=BACKPRESSURE, seen=False)
        self._untold = [], []
        tell(gone)


def _slices(rows: Sequence[Claimed]) -> Iterator[Sequence[Claimed]]:
    """Cut ``rows``: what was sent is noted so often, and no more is sent again after a fault."""
    return (rows[start : start + SLICE] for start in range(0, len(rows), SLICE))
