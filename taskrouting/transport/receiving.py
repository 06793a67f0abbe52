"""How do messages arrive? One consumer, owned by one thread: drain, acknowledge, hand back.

Every settle names the generation of the connection it arrived on. After a reconnect delivery tags
start again and would hit other messages, so a stale settle is dropped; the broker delivers that
copy again and the ledger recognises it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from kombu import Connection, Consumer, Queue

from . import latecomers, strays
from .broker import Broker
from .messages import REPEAT, Arrival, address
from .store import Claimed

logger = logging.getLogger("taskrouting.receiving")

#: RabbitMQ's heartbeat, in seconds: a peer that is silent for twice as long is gone.
HEARTBEAT = 30

#: Seconds between two heartbeat checks, and between two sweeps of Redis's unacknowledged.
CHECK_EVERY = 1.0

_generations = count(1)


class Receiver:
    """Consumes queues on one connection. Every method belongs to the thread that made it."""

    def __init__(self, broker: Broker, connection: Connection) -> None:
        self.generation = next(_generations)
        self._broker = broker
        self.connection = connection
        self._consumers: dict[str, Consumer] = {}
        #: Queues from which nothing is taken for the moment.
        self.paused: set[str] = set()
        self._unsettled: dict[int, Any] = {}
        self._tags = count(1)
        self._checked_at = time.monotonic()

    def consume(self, queues: Mapping[str, int], deliver: Callable[[Arrival], None]) -> None:
        """Start to consume ``queues`` (name: prefetch); ``deliver`` is called while draining."""
        for name, prefetch in queues.items():
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
            consumer.consume()
            self._consumers[name] = consumer

    def drain(self, seconds: float) -> bool:
        """Deliver what arrives within ``seconds``; return whether anything did."""
        with self._broker.faults(self.connection):
            self._check()
            try:
                self.connection.drain_events(timeout=seconds)
            except TimeoutError:
                return False
            return True

    def acknowledge(self, arrival: Arrival) -> None:
        """Tell the broker that its copy is settled."""
        self._settle(arrival, lambda message: message.ack())

    def hand_back(self, arrival: Arrival) -> None:
        """Return a copy nobody has begun to handle to its queue."""
        self._settle(arrival, lambda message: message.requeue())

    def hand_back_all(self) -> None:
        """Return everything unsettled, where the way to the broker is still open."""
        for message in self._unsettled.values():
            try:
                message.requeue()
            except Exception as error:  # noqa: BLE001  # the broker does it when we are gone
                logger.debug("Not handed back: %s", error)
                break
        self._unsettled.clear()

    def cancel(self) -> None:
        """Take nothing more; what has arrived can still be settled."""
        with self._broker.faults(self.connection):
            for name, consumer in self._consumers.items():
                if name not in self.paused:
                    consumer.cancel()
            self._consumers.clear()

    def pause(self, queues: set[str]) -> None:
        """Take nothing from ``queues`` until ``resume``."""
        with self._broker.faults(self.connection):
            for name in queues - self.paused:
                self._consumers[name].cancel()
                self.paused.add(name)

    def resume(self) -> None:
        """Take from every queue again."""
        with self._broker.faults(self.connection):
            for name in sorted(self.paused):
                self._consumers[name].consume()
                self.paused.discard(name)

    @property
    def unsettled(self) -> int:
        """How many messages were delivered here and are not settled."""
        return len(self._unsettled)

    def _settle(self, arrival: Arrival, settle: Callable[[Any], None]) -> None:
        if arrival.generation != self.generation:
            return
        message = self._unsettled.pop(arrival.tag, None)
        if message is not None:
            with self._broker.faults(self.connection):
                settle(message)

    def _receive(self, queue: str, deliver: Callable[[Arrival], None]) -> Callable[[Any], None]:
        def on_message(message: Any) -> None:
            tag = next(self._tags)
            self._unsettled[tag] = message
            deliver(_arrival(message, queue, self.generation, tag))

        return on_message

    def _check(self) -> None:
        """Send heartbeats; on Redis give back what dead workers had taken."""
        if time.monotonic() - self._checked_at < CHECK_EVERY:
            return
        self._checked_at = time.monotonic()
        if self._broker.can.confirms:
            self.connection.heartbeat_check()
        elif self._broker.can.name == "redis" and self._consumers:
            # Kombu sweeps only when a poll comes back empty, which a busy queue never lets it.
            next(iter(self._consumers.values())).channel.qos.restore_visible(interval=1)


@contextmanager
def receiver(broker: Broker) -> Iterator[Receiver]:
    """Open a connection and yield a receiver on it."""
    with broker.connect(heartbeat=HEARTBEAT) as connection:
        receiver = Receiver(broker, connection)
        try:
            yield receiver
        finally:
            receiver.hand_back_all()


def arrival_of(claimed: Claimed, queue: str) -> Arrival:
    """Read a claimed row of the store as what a consumer of ``queue`` would have received."""
    message = claimed.message
    exchange, routing_key, subscription, token = address(
        message.wire_headers, message.exchange, message.routing_key
    )
    return Arrival(
        queue=queue,
        body=message.body,
        content_type=message.content_type or None,
        content_encoding=message.content_encoding or None,
        headers=message.wire_headers,
        properties=message.properties,
        exchange=exchange,
        routing_key=routing_key,
        redelivered=claimed.deliveries > 1 or bool(message.headers.get(REPEAT)),
        subscription=subscription,
        token=token,
        tag=claimed.id,
    )


def _arrival(message: Any, queue: str, generation: int, tag: int) -> Arrival:
    """Read a Kombu message of any transport."""
    # A virtual transport's own says where the message goes back to, not where it was published.
    info = message.properties.get("delivery_info") or message.delivery_info or {}
    headers = message.headers or {}
    exchange, routing_key, subscription, token = address(
        headers, str(info.get("exchange") or ""), str(info.get("routing_key") or "")
    )
    return Arrival(
        queue=queue,
        body=bytes(message.body or b""),
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=headers,
        properties={
            name: value
            for name, value in message.properties.items()
            if name not in ("application_headers", "delivery_info", "claimed", "delivery_tag")
        },
        exchange=exchange,
        routing_key=routing_key,
        redelivered=_redelivered(message, info, headers),
        subscription=subscription,
        token=token,
        generation=generation,
        tag=tag,
    )


def _redelivered(message: Any, info: Mapping[str, Any], headers: Mapping[str, Any]) -> bool:
    """Find the transports' different ways of saying so; a repeat by the relay counts too."""
    raw = getattr(message, "_raw", None)  # the virtual transports' flag is nowhere else
    return bool(
        info.get("redelivered")
        or _times_received(info) > 1
        or headers.get("redelivered")
        or headers.get(REPEAT)
        or (isinstance(raw, dict) and raw.get("redelivered"))
    )


def _times_received(info: Mapping[str, Any]) -> int:
    """Read how often SQS has handed the message out; elsewhere nothing says so."""
    try:
        return int(info["sqs_message"]["Attributes"]["ApproximateReceiveCount"])
    except (KeyError, TypeError, ValueError):
        return 1
