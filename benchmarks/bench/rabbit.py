"""How is a queue of RabbitMQ filled? With copies of one message that the system itself has sent.

Each copy has an id of its own wherever the first one's stands: in the body, the properties and the
headers.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp

from .model import Miscounted
from .site.payload import time_ordered_id

#: Every queue that a side uses; and the exchange we declare.
QUEUES = (
    "audit_queue", "bench_queue", "other_queue", "celery_queue", "faststream_queue",
    "dramatiq_queue", "dramatiq_queue.DQ", "dramatiq_queue.XQ",
)  # fmt: skip


@contextmanager
def channel(url: str) -> Iterator[Any]:
    """An open channel."""
    parts = urlsplit(url)
    with amqp.Connection(
        f"{parts.hostname}:{parts.port or 5672}", userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"), virtual_host=unquote(parts.path[1:]) or "/",
    ) as connection:  # fmt: skip
        yield connection.channel()


def clean(url: str) -> None:
    """Delete all queues."""
    for name in QUEUES:
        with channel(url) as open_channel:
            open_channel.queue_delete(name)


def depth(url: str, queue: str) -> int:
    """How many messages wait there and are with nobody."""
    with channel(url) as open_channel:
        return int(open_channel.queue_declare(queue, passive=True).message_count)


def settled_depth(url: str, queue: str, expected: int) -> int:
    """The same, when nobody holds any; waits a little for what the broker has yet to put back."""
    deadline = time.monotonic() + 5
    while (found := depth(url, queue)) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def multiply(url: str, queue: str, count: int) -> None:
    """Put ``count`` copies of the one message that waits in ``queue`` there, in its stead."""
    with channel(url) as open_channel:
        model = open_channel.basic_get(queue, no_ack=True)
        if model is None:
            raise Miscounted(f"The system sent nothing to {queue}.")
        known, sent = _id(model), model.delivery_info
        fresh = time_ordered_id if known[14] == "7" else lambda: str(uuid.uuid4())
        body = model.body if isinstance(model.body, bytes) else model.body.encode()
        properties = dict(model.properties)
        for _ in range(count):
            new = fresh()
            open_channel.basic_publish(
                amqp.Message(body.replace(known.encode(), new.encode()),
                             **_replaced(properties, known, new)),
                exchange=sent["exchange"], routing_key=sent["routing_key"],
            )  # fmt: skip
        open_channel.close()
    if (found := settled_depth(url, queue, count)) != count:
        raise Miscounted(f"{count} messages were put into {queue}, {found} are there.")


def _id(message: Any) -> str:
    """The id that the system gave to the message."""
    headers = message.properties.get("application_headers") or {}
    candidates = [headers.get("id"), message.properties.get("message_id"), _id_in_body(message)]
    return next(str(each) for each in candidates if each)


def _id_in_body(message: Any) -> str:
    """Dramatiq's."""
    body = message.body if isinstance(message.body, str) else message.body.decode()
    _, _, rest = body.partition('"message_id":"')
    return rest.partition('"')[0] or str(uuid.uuid4())


def _replaced(value: Any, known: str, new: str) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(each, known, new) for name, each in value.items()}
    return value.replace(known, new) if isinstance(value, str) else value
