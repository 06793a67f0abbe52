"""What are the verbs of ``django://``? A Kombu channel over the store.

Topic exchanges route by ``topics.py``, exactly as RabbitMQ does, over bindings that all processes
share. A requeue returns a message to the queue it came from, and to no other.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from queue import Empty
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from kombu.transport import virtual
from kombu.transport.virtual.exchange import TopicExchange as KombuTopicExchange
from kombu.utils.json import dumps, loads

from taskrouting import json_text, topics

from . import doubts, models, store
from .messages import Message
from .strays import BROKEN


class TopicExchange(KombuTopicExchange):  # type: ignore[misc]  # kombu is untyped
    """A topic exchange with the grammar of AMQP; Kombu's own ``#`` wants at least one word."""

    def lookup(self, table: Any, exchange: str, routing_key: str, default: Any) -> set[str]:
        """Return the queues whose pattern matches ``routing_key``."""
        return {queue for pattern, _, queue in table if topics.matches(pattern, routing_key)}

    def prepare_bind(
        self, queue: str, exchange: str, routing_key: str, arguments: Any
    ) -> tuple[str, None, str]:
        """Keep the pattern as it is; it is compiled where it is matched."""
        topics.matches(routing_key, "")  # refuse here what AMQP would not accept
        return routing_key, None, queue


class QoS(virtual.QoS):  # type: ignore[misc]  # kombu is untyped
    """Unsettled deliveries of one channel: rows this process has claimed."""

    def ack(self, delivery_tag: Any) -> None:
        """Delete the claimed row."""
        self.ack_all([delivery_tag])

    def ack_all(self, delivery_tags: Sequence[Any]) -> None:
        """Delete the claimed rows."""
        store.settle([self.claimed(tag) for tag in delivery_tags], using=self.channel.alias)
        for tag in delivery_tags:
            self._let_go(tag)

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        """Give the row back to its own queue, or delete it."""
        if requeue:
            store.release([self.claimed(delivery_tag)], using=self.channel.alias)
        else:
            store.settle([self.claimed(delivery_tag)], using=self.channel.alias)
        self._let_go(delivery_tag)

    def restore_unacked(self) -> list[Any]:
        """Give every unsettled row back to its queue."""
        self._flush()
        store.release(self.unsettled(), using=self.channel.alias)
        self._delivered.clear()
        return []

    def claimed(self, delivery_tag: Any) -> store.Claimed:
        """Return the claim behind a delivery."""
        claimed: store.Claimed = self._delivered[delivery_tag].properties["claimed"]
        return claimed

    def _let_go(self, delivery_tag: Any) -> None:
        """There is room for another message, which may have been waiting for it."""
        super().ack(delivery_tag)
        self.channel.connection.look_at = 0.0

    def unsettled(self) -> list[store.Claimed]:
        """Return the claims nobody has settled."""
        self._flush()
        return [message.properties["claimed"] for message in self._delivered.values()]


class Channel(virtual.Channel):  # type: ignore[misc]  # kombu is untyped
    """The verbs of a channel, over the store."""

    QoS = QoS
    exchange_types = {**virtual.Channel.exchange_types, "topic": TopicExchange}
    body_encoding = None
    supports_fanout = True  # so that bindings are shared: see _queue_bind and get_table

    #: Whether more may have been due than was claimed last.
    left_some = False

    @property
    def alias(self) -> str:
        """The database alias that is the broker."""
        return self.connection.alias  # type: ignore[no-any-return]

    def _new_queue(self, queue: str, **kwargs: Any) -> None:
        self._queue_bind("", queue, None, queue)

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:
        return bool(self._bindings().filter(exchange="", queue=queue).exists())

    def _queue_bind(self, exchange: str, routing_key: str, pattern: Any, queue: str) -> None:
        self._bindings().bulk_create(
            [models.Binding(exchange=exchange, pattern=routing_key, queue=queue)],
            ignore_conflicts=True,
        )

    def queue_unbind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: Any = None,
        **kwargs: Any,
    ) -> None:
        """Remove the binding for every process."""
        self._bindings().filter(exchange=exchange, pattern=routing_key, queue=queue).delete()
        self.state.binding_delete(queue, exchange, routing_key)

    def queue_bind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: Any = None,
        **kwargs: Any,
    ) -> None:
        """Bind for every process, also when this one has bound before and another has unbound."""
        meta = self.typeof(exchange).prepare_bind(queue, exchange, routing_key, arguments)
        self._queue_bind(exchange or "amq.direct", *meta)

    def typeof(self, exchange: str | None, default: str = "topic") -> Any:
        """Return the kind of ``exchange``; one that another process declared is taken for topic.

        Without a wildcard in its patterns that is what a direct one does.
        """
        return super().typeof(exchange, default)

    def get_table(self, exchange: str) -> list[tuple[str, None, str]]:
        """Return the bindings of ``exchange``, whichever process made them."""
        bindings = self._bindings().filter(exchange=exchange).values_list("pattern", "queue")
        return [(pattern, None, queue) for pattern, queue in bindings]

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any
    ) -> None:
        """Start a consumer, and look for what already waits for it."""
        deliver = self._settling(callback) if no_ack else callback
        super().basic_consume(queue, False, deliver, consumer_tag, **kwargs)
        self.connection.look_at = 0.0

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        """Take one message, if one is due; with ``no_ack`` it is settled at once."""
        message = super().basic_get(queue, **kwargs)
        if message is not None and no_ack:
            self.basic_ack(message.delivery_tag)
        return message

    def basic_publish(
        self, message: dict[str, Any], exchange: str, routing_key: str, **kwargs: Any
    ) -> None:
        """Put the message into every queue that wants it, or into none."""
        with transaction.atomic(using=self.alias):
            super().basic_publish(message, exchange, routing_key, **kwargs)

    def exchange_delete(self, exchange: str, if_unused: bool = False, **kwargs: Any) -> None:
        """Delete the bindings; the queues and what is in them stay, as on RabbitMQ."""
        self._bindings().filter(exchange=exchange).exclude(exchange="").delete()
        self.state.exchanges.pop(exchange, None)

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        store.put([self._to_store(queue, message)], using=self.alias)

    def _put_fanout(self, exchange: str, message: dict[str, Any], key: str, **kwargs: Any) -> None:
        queues = {queue for _, _, queue in self.get_table(exchange)}
        store.put([self._to_store(queue, message) for queue in queues], using=self.alias)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        for claimed in doubts.claim(queue, 1, self.connection.lease, using=self.alias):
            return self._payload(claimed)
        raise Empty

    def _get_many(self, queues: list[str], timeout: float | None = None) -> None:
        """Claim what the prefetch allows of every queue, in turn, and deliver it."""
        delivered = self.left_some = False
        for queue in queues:
            room = self.qos.can_consume_max_estimate()
            limit = 100 if room is None else room
            due = doubts.claim(queue, limit, self.connection.lease, using=self.alias)
            self.left_some |= len(due) == limit
            for claimed in due:
                delivered = True
                self.connection._deliver(self._payload(claimed), queue)
        if not delivered:
            raise Empty

    def _size(self, queue: str) -> int:
        return int(self._ready(queue).count())

    def _purge(self, queue: str) -> int:
        return int(self._ready(queue).delete()[0])

    def _ready(self, queue: str) -> Any:
        """What nobody holds in a queue: never claimed, given back, or its claim has lapsed."""
        ready = Q(claim=None) | Q(available_at__lte=Now())
        return models.Message.objects.using(self.alias).filter(ready, queue=queue)

    def _settling(self, callback: Any) -> Any:
        """Settle a message before it is delivered: nobody will do it afterwards."""

        def deliver(message: Any) -> Any:
            self.basic_ack(message.delivery_tag)
            return callback(message)

        return deliver

    def queue_delete(
        self, queue: str, if_unused: bool = False, if_empty: bool = False, **kwargs: Any
    ) -> None:
        """Delete the queue's messages and every binding to it."""
        if not (if_empty and self._size(queue)):
            models.Message.objects.using(self.alias).filter(queue=queue).delete()
            self._bindings().filter(queue=queue).delete()
            self.state.queue_bindings_delete(queue)

    def _bindings(self) -> Any:
        return models.Binding.objects.using(self.alias).filter(broker="")

    def _to_store(self, queue: str, message: dict[str, Any]) -> Message:
        """Turn Kombu's payload into a row of the store."""
        properties = dict(message["properties"])
        body, encoding = message["body"], properties.pop("body_encoding", None)
        info = properties.pop("delivery_info", {})
        properties.pop("delivery_tag", None)
        return Message(
            queue=queue,
            body=base64.b64decode(body) if encoding == "base64" else _as_bytes(body),
            exchange=info.get("exchange") or "",
            routing_key=info.get("routing_key") or "",
            event_id=str(properties.get("message_id") or "")[:255],
            headers=_storable(message.get("headers") or {}),
            properties=_storable(properties),
            content_type=message.get("content-type") or "",
            content_encoding=message.get("content-encoding") or "",
            priority=self._get_message_priority(message),
        )

    def _payload(self, claimed: store.Claimed) -> dict[str, Any]:
        """Turn a claimed row into Kombu's payload."""
        message = claimed.message
        return {
            "body": message.body,
            "headers": _restored(message.wire_headers),
            "content-type": message.content_type or None,
            "content-encoding": message.content_encoding or None,
            "properties": {
                **_restored(dict(message.properties)),
                "priority": message.priority,
                "delivery_tag": self._next_delivery_tag(),
                "delivery_info": {
                    "exchange": message.exchange,
                    "routing_key": message.routing_key,
                    "redelivered": claimed.deliveries > 1,
                },
                "claimed": claimed,
            },
        }


def _storable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write times, UUIDs, decimals and bytes as Kombu does where it has only JSON."""
    return json.loads(dumps(values))  # type: ignore[no-any-return]  # it was a dict


def _restored(values: dict[str, Any]) -> dict[str, Any]:
    """Read what ``_storable`` has written; what only looks like it is left as it is.

    Left out is what would nest the whole payload deeper than anybody reads.
    """
    values = json_text.shallow(values, json_text.MAX_DEPTH - 2)
    text = json.dumps(values)
    try:
        return loads(text) if '"__type__"' in text else values
    except BROKEN:
        return values


def _as_bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body or b"")
