"""How fast do messages from memory reach a broker? ``… .site.sending amqp|redis COUNT EXCHANGE``.

Prints how many went in a second, once the first tenth has gone. To RabbitMQ py-amqp publishes with
pipelined confirms, 500 on their way at most; to Redis, Kombu publishes to its own topic exchange.
The messages are as long as ours, with the properties and headers that ours have.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from kombu import Connection, Exchange, Producer, Queue

from .payload import payload, time_ordered_id

ON_THEIR_WAY = 500
ROUTING_KEY = "bench.row"
QUEUES = ("bench_queue", "other_queue")


def messages(count: int) -> Iterator[dict[str, Any]]:
    """What the relay would send, ready in memory."""
    import json

    for number in range(count):
        name = time_ordered_id()
        document = {"specversion": "1.0", "id": name, "type": ROUTING_KEY, "source": "bench",
                    "time": "2026-01-01T00:00:00.000000Z", "correlationid": name,
                    "datacontenttype": "application/json", "data": payload(number)}  # fmt: skip
        yield {
            "body": json.dumps(document, separators=(",", ":")).encode(),
            "content_type": "application/cloudevents+json",
            "content_encoding": "utf-8",
            "message_id": name,
            "type": ROUTING_KEY,
            "correlation_id": name,
            "app_id": "bench",
            "timestamp": 1_767_225_600,
            "delivery_mode": 2,
            "priority": 0,
            "headers": {"x-mark": str(number), "x-relayed-at": "2026-01-01T00:00:00.000000+00:00"},
        }


def to_amqp(connection: Connection, exchange: str, ready: list[dict[str, Any]]) -> Iterator[int]:
    """Publish with confirms; yields how many are confirmed."""
    channel = connection.channel()
    channel.confirm_select()
    confirmed = 0
    highest = 0

    def confirm(tag: int, multiple: bool) -> None:
        nonlocal confirmed, highest
        confirmed += tag - highest if multiple else 1
        highest = max(highest, tag) if multiple else highest + 1

    channel.events["basic_ack"].add(confirm)
    producer = Producer(channel, auto_declare=False)
    for start in range(0, len(ready), ON_THEIR_WAY):
        batch = ready[start : start + ON_THEIR_WAY]
        for message in batch:
            producer.publish(**message, exchange=exchange, routing_key=ROUTING_KEY, mandatory=True)
        while confirmed < start + len(batch):
            connection.drain_events(timeout=30)
        yield confirmed


def to_redis(connection: Connection, exchange: str, ready: list[dict[str, Any]]) -> Iterator[int]:
    """Publish to Kombu's topic exchange; yields how many are written."""
    channel = connection.channel()
    topic = Exchange(exchange, "topic")
    for name in QUEUES:
        Queue(name, topic, routing_key="bench.#").bind(channel).declare()
    producer = Producer(channel, auto_declare=False)
    for number, message in enumerate(ready, 1):
        message["headers"].pop("x-mark")
        producer.publish(**message, exchange=exchange, routing_key=ROUTING_KEY)
        if number % ON_THEIR_WAY == 0 or number == len(ready):
            yield number


WAYS: dict[str, Callable[..., Iterator[int]]] = {"amqp": to_amqp, "redis": to_redis}


def main() -> None:
    """Send, and print the rate."""
    way, count, exchange = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    ready = list(messages(count))
    first, began, sent = 0, 0.0, 0
    with Connection(os.environ["BENCH_BROKER_URL"]) as connection:
        for sent in WAYS[way](connection, exchange, ready):
            if not first and sent >= count // 10:
                first, began = sent, time.perf_counter()
    print((sent - first) / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
