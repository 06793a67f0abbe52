"""How do messages leave? A sender per kind of broker: AMQP with confirms, or queue by queue.

On AMQP the broker routes. Elsewhere we route, with our own grammar, and publish to each queue
through the default exchange; that also removes Kombu's duplicate-on-requeue, since a message
handed back then returns to its own queue only.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, Protocol

from kombu import Connection, Producer
from kombu.exceptions import ChannelError

from taskrouting.exceptions import BrokerBlocked, BrokerUnavailable

from . import closing, flow, messages, queueing
from .broker import Broker
from .confirms import MARK, Confirms, Fate, Refusal
from .messages import COMPRESSION, OUTBOX, RELAYED_AT, Message
from .store import HIGHEST_PRIORITY

#: Seconds to wait for the confirms of a batch.
CONFIRM_TIMEOUT = 15.0

#: Bytes that are written before confirms are waited for: so much fits into the sockets' buffers
#: when the broker does not read any more, and we hear of it instead of being stuck.
WINDOW = 256 * 1024

#: AMQP's replies that blame the message: too large, malformed, not to be met. A missing exchange
#: (404) or permission (403) blames the installation.
BLAMES_THE_MESSAGE = {311, 406, 501, 502}

#: The properties of a message that AMQP keeps in short strings.
SHORT_STRINGS = (
    "content_type", "content_encoding", "correlation_id", "reply_to", "expiration", "message_id",
    "type", "user_id", "app_id", "cluster_id",
)  # fmt: skip

#: What py-amqp and Kombu raise for a message that cannot be put on the wire at all.
UNSENDABLE = (TypeError, ValueError, struct.error, OverflowError)

#: What SQS answers when it objects to this very message, which is too large for it.
REFUSED_BY_SQS = ("InvalidParameterValue", "InvalidMessageContents")


#: What to do while the broker is blocked; returns for how long.
Hold = Callable[[BrokerBlocked], timedelta]


#: What else can be done while the broker works.
Meanwhile = Callable[[], object]


def idle() -> None:
    """Do nothing meanwhile."""


class Sender(Protocol):
    """Hands messages to the broker. Raises BrokerUnavailable when it is away."""

    def send(
        self, messages: Sequence[Message], hold: Hold, meanwhile: Meanwhile = idle
    ) -> list[Fate | Refusal]:
        """Send ``messages`` and say what became of each, in their order.

        ``hold`` is called again and again while the broker is blocked and some are on their way:
        it says how long to wait until it is called again, or raises what ends the waiting.
        ``meanwhile`` is called at most once, while the broker is busy with them.
        """

    def pause(self, hold: Hold) -> None:
        """Wait for as long as the broker is blocked, likewise; nothing is on its way."""

    def longest_wait(self, queue: str, priority: int) -> timedelta:
        """How long has the next message of ``queue`` waited there? Zero where nobody can tell."""


def sender(
    broker: Broker, connection: Connection, exchange: str, compression: str | None = None
) -> Sender:
    """Return the right sender for the broker, on an open connection."""
    if broker.can.confirms:
        return _ConfirmingSender(broker, connection, exchange, compression)
    return _QueueSender(broker, connection, compression)


class _ConfirmingSender:
    """AMQP: a pipelined batch, ``mandatory``, with confirms."""

    def __init__(
        self, broker: Broker, connection: Connection, exchange: str, compression: str | None
    ) -> None:
        self._broker = broker
        self._connection = connection
        self._exchange = exchange
        self._compression = compression
        #: Never used twice: a message of an earlier batch may be returned late.
        self._marks = count()
        #: A confirm did not come: the connection may be dead and not say so.
        self._doubtful = False
        self._open()

    def send(
        self, messages: Sequence[Message], hold: Hold, meanwhile: Meanwhile = idle
    ) -> list[Fate | Refusal]:
        """Send a batch; after a channel error send one by one to find the culprit."""
        if self._doubtful:
            closing.cut(self._connection)
            raise BrokerUnavailable(
                f"{self._connection.as_uri()}: no confirm came within {CONFIRM_TIMEOUT:g} seconds"
            )
        with self._broker.faults(self._connection):
            try:
                return self._send(messages, hold, meanwhile)
            except (ChannelError, *self._connection.channel_errors):
                self._open()
                return [self._send_alone(message, hold) for message in messages]

    def pause(self, hold: Hold) -> None:
        """Wait until RabbitMQ says that there is room again."""
        with self._broker.faults(self._connection):
            while self._flow.blocked:
                self._flow.wait(hold(self._flow.fault()).total_seconds())

    def longest_wait(self, queue: str, priority: int) -> timedelta:
        """Not told by AMQP, nor needed: its confirms are believed."""
        return timedelta(0)

    def _open(self) -> None:
        with self._broker.faults(self._connection):
            channel = self._connection.channel()
            self._flow = flow.of(self._connection)
            self._confirms = Confirms(channel)
            self._producer = Producer(channel, auto_declare=False)

    def _send(
        self, messages: Sequence[Message], hold: Hold, meanwhile: Meanwhile = idle
    ) -> list[Fate | Refusal]:
        known: dict[str, Fate | Refusal] = {}
        marks = [str(next(self._marks)) for _ in messages]
        written = 0
        for mark, message in zip(marks, messages, strict=True):
            if self._flow.blocked:
                known[mark] = Fate.NACKED
                continue
            try:
                self._confirms.publish(mark, partial(self._write, message, mark))
            except UNSENDABLE as error:
                known[mark] = Refusal(str(error))
            written += len(message.body)
            if written > WINDOW:
                self._listen(hold)
                written = 0
        meanwhile()
        self._listen(hold)
        fates = {**self._confirms.take(), **known}
        self._doubtful = Fate.UNKNOWN in fates.values()
        return [fates[mark] for mark in marks]

    def _listen(self, hold: Hold) -> None:
        """Wait for the confirms; while the broker is blocked they cannot come."""
        deadline = time.monotonic() + CONFIRM_TIMEOUT
        while not self._confirms.complete:
            if self._flow.blocked:
                self._flow.wait(hold(self._flow.fault()).total_seconds())
                deadline = time.monotonic() + CONFIRM_TIMEOUT
            elif (left := deadline - time.monotonic()) > 0:
                self._flow.listen(left)
            else:
                return

    def _send_alone(self, message: Message, hold: Hold) -> Fate | Refusal:
        try:
            return self._send([message], hold)[0]
        except (ChannelError, *self._connection.channel_errors) as error:
            self._open()
            if getattr(error, "reply_code", None) in BLAMES_THE_MESSAGE:
                return Refusal(str(error))
            raise BrokerUnavailable(f"{self._connection.as_uri()}: {error}") from error

    def _write(self, message: Message, mark: str) -> None:
        routed = message.queue == OUTBOX
        sent = _sent(message, self._compression)
        sent["headers"][MARK] = mark
        _refuse_long_properties(sent)
        self._producer.publish(
            **sent,
            exchange=self._exchange if routed else "",
            routing_key=message.routing_key if routed else message.queue,
            mandatory=True,
        )


class _QueueSender:
    """Every virtual transport: straight into the queue the message is addressed to."""

    def __init__(self, broker: Broker, connection: Connection, compression: str | None) -> None:
        self._broker = broker
        self._connection = connection
        self._compression = compression
        self._redis = broker.can.name == "redis"
        with broker.faults(connection):
            self._producer = Producer(connection.default_channel, auto_declare=False)

    def send(
        self, messages: Sequence[Message], hold: Hold, meanwhile: Meanwhile = idle
    ) -> list[Fate | Refusal]:
        """Send each message to its queue; the transport cannot confirm more than the write."""
        with self._broker.faults(self._connection):
            channel = self._connection.default_channel
            with queueing.together(channel) if self._redis else nullcontext():
                return [self._send(message) for message in messages]

    def pause(self, hold: Hold) -> None:
        """Do nothing: these transports say nothing, a write to them fails."""

    def longest_wait(self, queue: str, priority: int) -> timedelta:
        """Look at the queue, which only Redis allows."""
        if not self._redis:
            return timedelta(0)
        with self._broker.faults(self._connection):
            channel = self._connection.default_channel
            return queueing.longest_wait(channel, queue, redis_priority(priority))

    def _send(self, message: Message) -> Fate | Refusal:
        if message.queue == OUTBOX:
            raise ValueError("route the message before sending it: this broker does not")
        if self._redis:
            message = replace(message, priority=redis_priority(message.priority))
        sent = _sent(message, self._compression)
        try:
            self._producer.publish(**sent, exchange="", routing_key=message.queue)
        except UNSENDABLE as error:
            return Refusal(str(error))
        except Exception as error:
            if _sqs_code(error) not in REFUSED_BY_SQS:
                raise
            return Refusal(str(error))
        return Fate.CONFIRMED


def redis_priority(priority: int) -> int:
    """Turn a priority round: on Redis 0 goes first."""
    return HIGHEST_PRIORITY - priority


def _refuse_long_properties(sent: Mapping[str, Any]) -> None:
    """Raise ValueError, and say of which property, where AMQP has less room for it."""
    for name in SHORT_STRINGS:
        if size := messages.excess(sent.get(name)):
            raise ValueError(
                f"its property {name!r} is {size} bytes long in UTF-8, and AMQP takes no more than "
                f"{messages.SHORT_STRING}"
            )


def _sqs_code(error: Exception) -> object:
    """Read the code out of an error of SQS's."""
    answer = getattr(error, "response", None)
    return answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None


def _sent(message: Message, compression: str | None) -> dict[str, Any]:
    """What ``Producer.publish`` takes of a message, whatever its address."""
    headers = {**message.wire_headers, RELAYED_AT: datetime.now(UTC).isoformat()}
    if COMPRESSION in headers:
        compression = None  # what is redriven as it came is packed already
    return {
        **message.properties,
        "body": message.body,
        "headers": headers,
        "content_type": message.content_type or "application/octet-stream",
        # "binary" keeps py-amqp from decoding compressed bytes as text.
        "content_encoding": "binary" if compression else message.content_encoding or "binary",
        "compression": compression,
        "priority": message.priority,
        "delivery_mode": 2,
    }


__all__ = ["Fate", "Hold", "Refusal", "Sender", "sender"]
