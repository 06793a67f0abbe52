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
                          until the consumer of the queue deletes them
``django://``             route into one row per queue; its consumers claim them
========================  ================================================================
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

from django.db import DatabaseError, InterfaceError, connections, transaction

from taskrouting import conf, signals
from taskrouting.dead_letters import records
from taskrouting.dead_letters.models import DeadLetter
from taskrouting.exceptions import BrokerBlocked, BrokerUnavailable
from taskrouting.routing import topology
from taskrouting.transport import broker as brokers
from taskrouting.transport import routes, sending, signing, store, wakeup
from taskrouting.transport.messages import OUTBOX, REPEAT, ROW
from taskrouting.transport.outage import Outage
from taskrouting.transport.sending import Fate, Refusal, Sender
from taskrouting.transport.store import Claimed

from .publisher import keep_unroutable, spread

logger = logging.getLogger("taskrouting.relay")

#: Rows claimed and sent together.
BATCH = 500

#: How long the claim on a batch holds: longer than the longest wait for confirms.
CLAIM = timedelta(seconds=30)

#: Waiting between two looks, when nobody wakes us, in seconds.
SAFETY_POLL = 1.0

#: A nack means that the broker is full.
BACKPRESSURE = timedelta(seconds=1)

#: When a message kept until received is sent again, in leases: the broker's own redelivery of what
#: a dead worker held comes first. Doubles each time, up to the second figure.
RESEND, LATEST_RESEND = 5, timedelta(hours=1)


class Relay:
    """Empties the outbox of one database; belongs to one thread."""

    def __init__(self, broker: brokers.Broker, using: str) -> None:
        self._broker = broker
        self._using = using
        self._central = using == conf.current().database
        self._kept = brokers.kept_until_received(conf.current())
        #: The last claim, by its queue; and what was sent, until the database knows its fate.
        self._claimed: tuple[str, UUID] | None = None
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
        waiter = wakeup.waiter(self._using) if needed else None
        try:
            self._make_good()
            self._stop.wait(self._outage.mercy)
            while not self._stop.is_set():
                moved = self._pass(sender, known)
                if not moved and waiter is not None:
                    waiter.wait(SAFETY_POLL)
                elif not moved:
                    self._stop.wait(SAFETY_POLL)
        finally:
            if waiter is not None:
                waiter.close()

    def _make_good(self) -> None:
        """Finish what the database was away for: note what was sent, give back what was not."""
        self._settle(*self._untold)
        if self._claimed is not None:
            store.abandon(*self._claimed, using=self._using)

    def _claim(self, queue: str) -> list[Claimed]:
        self._claimed = queue, uuid4()
        return store.claim(queue, BATCH, CLAIM, using=self._using, mine=self._claimed[1])

    def _pass(self, sender: Sender | None, known: routes.Routes | None) -> int:
        """Move what is due; return how many rows that were."""
        if sender is not None:
            sender.pause(partial(self._hold, []))
        moved = self._move(sender, known)
        self._outage.over()
        if moved:
            self._active_at = time.monotonic()
        return moved

    def _move(self, sender: Sender | None, known: routes.Routes | None) -> int:
        outbox = self._claim(OUTBOX)
        if sender is None or (known is not None and self._kept):
            assert known is not None  # noqa: S101  # for the type checker
            self._spread(outbox, known)
        else:
            self._send_outbox(outbox, sender, known)
        if sender is None or not self._central:
            return len(outbox)
        return len(outbox) + sum(
            self._send_addressed(queue, sender)
            for queue in store.queues(using=self._using)
            if queue != OUTBOX
        )

    def _spread(self, outbox: Sequence[Claimed], known: routes.Routes) -> None:
        """Turn each outbox row into one row per queue, in the central database."""
        central = conf.current().database
        with transaction.atomic(using=central):
            for row in outbox:
                store.put(spread(row.message, known), using=central)
            if self._central:
                store.settle(outbox, using=central)
        if not self._central:
            store.settle(outbox, using=self._using)
        _tell(outbox)

    def _send_outbox(
        self, outbox: Sequence[Claimed], sender: Sender, known: routes.Routes | None
    ) -> None:
        if known is None:
            self._settle(outbox, self._sent(sender, outbox))
            return
        for row in outbox:
            copies = [replace(row, message=each) for each in spread(row.message, known)]
            fates = self._sent(sender, copies)
            self._settle([row], [_worst(fates)])

    def _send_addressed(self, queue: str, sender: Sender) -> int:
        """Send what is addressed to one queue: retries, lapsed leases, rows kept until received."""
        due = self._claim(queue)
        fates = self._sent(sender, [_marked(row) for row in due] if self._kept else due)
        if not self._kept:
            self._settle(due, fates)
            return len(due)
        for row, fate in zip(due, fates, strict=True):
            if fate is Fate.CONFIRMED:
                store.release([row], using=self._using, delay=_resend(row.deliveries))
                _tell([row] if row.deliveries == 1 else [])
            else:
                self._settle([row], [fate])
        return len(due)

    def _sent(self, sender: Sender, rows: Sequence[Claimed]) -> list[Fate | Refusal]:
        """Send ``rows``; when the broker goes away, give them back as if nobody had looked."""
        if not rows:
            return []
        try:
            return sender.send([row.message for row in rows], partial(self._hold, rows))
        except BrokerUnavailable:
            store.release(rows, using=self._using, seen=False)
            raise

    def _hold(self, rows: Sequence[Claimed], fault: BrokerBlocked) -> timedelta:
        """Keep hold of ``rows``, which are on their way to a broker that is blocked."""
        if self._stop.is_set():
            raise fault
        store.extend(rows, CLAIM, using=self._using)
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
                _keep_refused(row, "the queue is not there")
            elif isinstance(fate, Refusal):
                _keep_refused(row, fate.reason)
            gone.append(row)
        store.settle(gone, using=self._using)
        store.release(later, using=self._using, delay=BACKPRESSURE, seen=False)
        self._untold = [], []
        _tell(gone)


def _keep_refused(row: Claimed, reason: str) -> None:
    message = row.message
    queue = "" if message.queue == OUTBOX else f" for queue {message.queue!r}"
    text = f"The broker does not take {message.routing_key!r}{queue}: {reason}."
    records.keep_message(message, DeadLetter.Reason.REFUSED, text)


def _marked(row: Claimed) -> Claimed:
    """Name the row that waits for its reception; what was sent before is a repeat, so a suspect."""
    repeat = {REPEAT: row.deliveries - 1} if row.deliveries > 1 else {}
    name = signing.name_of_row(row.id, row.message)
    headers = {**row.message.headers, ROW: name, **repeat}
    return replace(row, message=replace(row.message, headers=headers))


def _resend(deliveries: int) -> timedelta:
    first = RESEND * conf.current().lease
    return min(first * (1 << min(deliveries - 1, 20)), LATEST_RESEND)


def _worst(fates: Sequence[Fate | Refusal]) -> Fate | Refusal:
    """The fate of an event is that of its unluckiest copy; without copies it is done with."""
    for fate in fates:
        if isinstance(fate, Refusal):
            return fate
    order = (Fate.UNKNOWN, Fate.NACKED, Fate.UNROUTABLE)
    return next((fate for fate in order if fate in fates), Fate.CONFIRMED)


def _tell(rows: Sequence[Claimed]) -> None:
    for row in rows:
        signals.emit(
            signals.event_relayed,
            Relay,
            event_id=row.message.event_id,
            routing_key=row.message.routing_key,
        )
