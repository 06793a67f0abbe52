"""How do messages arrive? One consumer, owned by one thread: drain, acknowledge, hand back.

Every settle names the generation of the connection it arrived on. After a reconnect delivery tags
start again and would hit other messages, so a stale settle is dropped; the broker delivers that
copy again and the ledger recognises it.
"""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, nullcontext, suppress
from itertools import count
from typing import Any

from kombu import Connection, Consumer, Queue

from . import acks, arrivals, closing, doubts, latecomers, store, strays
from .arrivals import arrival_of
from .broker import Broker
from .messages import Arrival
from .watch import Intake, Watch

logger = logging.getLogger("taskrouting.receiving")

#: RabbitMQ's heartbeat, in seconds: a peer that is silent for twice as long is gone.
HEARTBEAT = 30

#: Seconds between two heartbeat checks, and between two sweeps of Redis's unacknowledged.
CHECK_EVERY = 1.0

#: Seconds without a message after which an idle queue is consumed anew.
RENEW = 300.0

#: Messages that are taken at once before the others in this thread have their turn.
MORE = 50

#: Seconds to wait for the rest of a message that has begun to arrive.
SHORTLY = 0.01

_generations = count(1)


class Receiver:
    """Consumes queues on one connection. Every method belongs to the thread that made it."""

    def __init__(self, broker: Broker, connection: Connection, watch: Watch | None = None) -> None:
        self.generation = next(_generations)
        self._watch = watch
        #: The way to the broker is broken: what is said over it is lost, and comes back later.
        self._lost = False
        #: Nobody takes anything any more; what a last BRPOP still brings returns to its queue.
        self._over = False
        self.intake = Intake()
        self._broker = broker
        self.connection = connection
        self._consumers: dict[str, Consumer] = {}
        self._deliver: dict[str, Callable[[Arrival], None]] = {}
        #: Queues from which nothing is taken for the moment.
        self.paused: set[str] = set()
        #: By tag, in their order: the queue it came from (an arrival may name its event's first
        #: one), and Kombu's message.
        self._unsettled: dict[int, tuple[str, Any]] = {}
        self._tags = count(1)
        self._checked_at = time.monotonic()

    def consume(
        self,
        queues: Mapping[str, int],
        deliver: Callable[[Arrival], None],
        paused: Set[str] = frozenset(),
    ) -> None:
        """Start to consume ``queues`` (name: prefetch); ``deliver`` is called while draining.

        Nothing is taken from those that are ``paused`` until ``resume``.
        """
        self.paused |= paused & queues.keys()
        for name, prefetch in queues.items():
            self._open(name, prefetch, deliver)

    def _open(self, name: str, prefetch: int, deliver: Callable[[Arrival], None]) -> None:
        channel = self.connection.channel()
        channel.basic_qos(0, prefetch, False)
        strays.tolerate(channel, name, self._broker.can.name)
        latecomers.expect(channel, name)
        consumer = Consumer(
            channel,
            queues=[Queue(name, channel=channel, no_declare=True)],
            on_message=self._receive(name, deliver),
            auto_declare=False,
        )
        if name not in self.paused:
            consumer.consume()
        self._consumers[name] = consumer
        self._deliver[name] = deliver
        self.intake.opened(name, prefetch)

    def hold(self, name: str, prefetch: int) -> None:
        """Hold up to ``prefetch`` unsettled messages of the queue ``name`` from now on."""
        consumer = self._consumers[name]
        with self._broker.faults(self.connection):
            consumer.channel.basic_qos(0, prefetch, False)
            if self._broker.can.confirms and name not in self.paused:
                consumer.cancel()  # AMQP asks how many when a consumer begins
                consumer.consume()
        self.intake.opened(name, prefetch)

    def drain(self, seconds: float) -> bool:
        """Deliver what arrives within ``seconds``; return whether anything did."""
        with self._broker.faults(self.connection):
            self._check()
            try:
                self.connection.drain_events(timeout=seconds)
                self._drain_what_is_there()
            except TimeoutError:
                return False
            except self.connection.connection_errors:
                self._lost = True
                raise
            return True

    def _drain_what_is_there(self) -> None:
        """Go on while AMQP has more for us: it delivers one message at a time."""
        if not self._broker.can.confirms:
            return
        transport = self.connection.connection.transport
        socket = transport.sock
        usual = socket.gettimeout()
        ready = select.poll()
        ready.register(socket, select.POLLIN)
        socket.settimeout(SHORTLY)  # once, where drain_events would do it for each of three frames
        try:
            for _ in range(MORE):
                if not transport.ahead and not ready.poll(0):
                    return
                self.connection.drain_events()
        except TimeoutError:
            # No fault: what came was a heartbeat or the like, or not yet whole. py-amqp keeps what
            # it has read of a frame, and the next drain goes on with it.
            return
        finally:
            with suppress(OSError):  # it was closed, and why is on its way up
                socket.settimeout(usual)

    def acknowledge(self, *arrivals: Arrival) -> None:
        """Tell the broker that its copies are settled."""
        tags = {arrival.tag for arrival in arrivals if self._holds(arrival)}
        for queue in {self._unsettled[tag][0] for tag in tags}:
            held = {tag: each for tag, (name, each) in self._unsettled.items() if name == queue}
            with self._broker.faults(self.connection):
                acks.acknowledge(self._broker.can, held, tags)
            self._let_go(*(held.keys() & tags))

    def hand_back(self, arrival: Arrival) -> None:
        """Return a copy nobody has begun to handle to its queue."""
        if self._holds(arrival):
            with self._broker.faults(self.connection):
                self._unsettled[arrival.tag][1].requeue()
            self._let_go(arrival.tag)

    def hand_back_all(self) -> None:
        """Return everything unsettled, where the way to the broker is still open."""
        self._over = True
        try:
            while self._unsettled and not self._lost:
                tag, (_, message) = next(iter(self._unsettled.items()))
                message.requeue()
                del self._unsettled[tag]
        except Exception as error:  # noqa: BLE001  # the broker does it when we are gone
            logger.debug("Not handed back: %s", error)
        if self._broker.can.embedded:  # a table does not know that we are gone
            left = [message.properties["claimed"] for _, message in self._unsettled.values()]
            self._broker.left_behind.extend(left)
        self._unsettled.clear()

    def cancel(self) -> None:
        """Take nothing more; what has arrived can still be settled."""
        self.intake.closed()
        with self._broker.faults(self.connection):
            for name, consumer in self._consumers.items():
                if name not in self.paused and not self._lost:
                    consumer.cancel()
            self._consumers.clear()

    def pause(self, queues: set[str]) -> None:
        """Take nothing from ``queues`` until ``resume``."""
        with self._broker.faults(self.connection):
            for name in queues - self.paused:
                self._consumers[name].cancel()
                self.paused.add(name)

    def resume(self, but: Set[str] = frozenset()) -> None:
        """Take from every queue again ``but`` those."""
        with self._broker.faults(self.connection):
            for name in sorted(self.paused - but):
                self._consumers[name].consume()
                self.paused.discard(name)

    @property
    def unsettled(self) -> int:
        """How many messages were delivered here and are not settled."""
        return len(self._unsettled)

    def _holds(self, arrival: Arrival) -> bool:
        """Whether there is anything to be said about it on this connection."""
        here = arrival.generation == self.generation and not self._lost
        return here and arrival.tag in self._unsettled

    def _let_go(self, *tags: int) -> None:
        for tag in tags:
            queue, _ = self._unsettled.pop(tag)
            self.intake.settled(queue)

    def _receive(self, queue: str, deliver: Callable[[Arrival], None]) -> Callable[[Any], None]:
        def on_message(message: Any) -> None:
            if self._over:
                message.requeue()
                return
            tag = next(self._tags)
            self._unsettled[tag] = queue, message
            self.intake.received(queue)
            deliver(arrivals.of_kombu(message, queue, self.generation, tag))

        return on_message

    def _check(self) -> None:
        """Send heartbeats; on Redis give back what dead workers had taken. Are we deaf?"""
        if time.monotonic() - self._checked_at < CHECK_EVERY:
            return
        self._checked_at = time.monotonic()
        try:
            self._keep_up()
        except Exception:
            self._lost = True
            closing.cut(self.connection)
            raise

    def _keep_up(self) -> None:
        if self._watch is not None:
            self._watch.ask()
        if self._broker.can.confirms:
            self.connection.heartbeat_check()
            self._renew()
        elif self._broker.can.name == "redis" and self._consumers:
            # Kombu sweeps only when a poll comes back empty, which a busy queue never lets it.
            next(iter(self._consumers.values())).channel.qos.restore_visible(interval=1)

    def _renew(self) -> None:
        """Consume anew where nothing has come for long: RabbitMQ may lose a consumer silently.

        One whose quorum queue was deleted and at once made anew is counted among those of the new
        queue, is handed messages, and none arrives.
        """
        for name in self.intake.idle_for(RENEW) - self.paused:
            self._consumers[name].channel.close()
            self._open(name, self.intake.prefetch[name], self._deliver[name])


@contextmanager
def receiver(broker: Broker, watch: Watch | None = None) -> Iterator[Receiver]:
    """Open a connection and yield a receiver on it, over which ``watch`` watches."""
    with broker.connect(heartbeat=HEARTBEAT) as connection:
        receiver = Receiver(broker, connection, watch)
        with broker.faults(connection):
            doubts.end()
            store.release(broker.left_behind, using=broker.database)
        broker.left_behind.clear()
        watching = watch.over(receiver.intake, receiver.paused) if watch else nullcontext()
        try:
            with watching:
                yield receiver
        finally:
            receiver.hand_back_all()


__all__ = ["Receiver", "arrival_of", "receiver"]
