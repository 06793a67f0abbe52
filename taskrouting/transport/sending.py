"""How do messages leave? A sender per kind of broker: AMQP with confirms, or queue by queue.

On AMQP the broker routes. Elsewhere we route, with our own grammar, and publish to each queue
through the default exchange; that also removes Kombu's duplicate-on-requeue, since a message
handed back then returns to its own queue only.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any, Protocol

from kombu import Connection, Producer
from kombu.exceptions import ChannelError

from taskrouting.exceptions import BrokerUnavailable

from . import messages
from .broker import Broker
from .confirms import MARK, Confirms, Fate, Refusal
from .messages import COMPRESSION, OUTBOX, RELAYED_AT, Message

#: Seconds to wait for the confirms of a batch.
CONFIRM_TIMEOUT = 15.0

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


class Sender(Protocol):
    """Hands messages to the broker. Raises BrokerUnavailable when it is away."""

    def send(self, messages: Sequence[Message]) -> list[Fate | Refusal]:
        """Send ``messages`` and say what became of each, in their order."""


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
        self._open()

    def send(self, messages: Sequence[Message]) -> list[Fate | Refusal]:
        """Send a batch; after a channel error send one by one to find the culprit."""
        with self._broker.faults(self._connection):
            try:
                return self._send(messages)
            except (ChannelError, *self._connection.channel_errors):
                self._open()
                return [self._send_alone(message) for message in messages]

    def _open(self) -> None:
        with self._broker.faults(self._connection):
            channel = self._connection.channel()
            self._confirms = Confirms(channel)
            self._producer = Producer(channel, auto_declare=False)

    def _send(self, messages: Sequence[Message]) -> list[Fate | Refusal]:
        refused: dict[str, Fate | Refusal] = {}
        marks = [str(next(self._marks)) for _ in messages]
        for mark, message in zip(marks, messages, strict=True):
            try:
                self._confirms.publish(mark, partial(self._write, message, mark))
            except UNSENDABLE as error:
                refused[mark] = Refusal(str(error))
        fates = {**self._confirms.gather(CONFIRM_TIMEOUT), **refused}
        return [fates[mark] for mark in marks]

    def _send_alone(self, message: Message) -> Fate | Refusal:
        try:
            return self._send([message])[0]
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
        with broker.faults(connection):
            self._producer = Producer(connection.default_channel, auto_declare=False)

    def send(self, messages: Sequence[Message]) -> list[Fate | Refusal]:
        """Send each message to its queue; the transport cannot confirm more than the write."""
        with self._broker.faults(self._connection):
            return [self._send(message) for message in messages]

    def _send(self, message: Message) -> Fate | Refusal:
        if message.queue == OUTBOX:
            raise ValueError("route the message before sending it: this broker does not")
        if self._broker.can.name == "redis":
            message = replace(message, priority=9 - message.priority)  # Redis: 0 goes first
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


__all__ = ["Fate", "Refusal", "Sender", "sender"]
