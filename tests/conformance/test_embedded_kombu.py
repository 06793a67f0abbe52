"""``django://`` for those who know Kombu and not us: does it do what Kombu's own transports do?"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.exceptions import ChannelError
from kombu.mixins import ConsumerMixin

from tests.conformance.installation import Installation
from tests.conformance.places import EMBEDDED
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("place", EMBEDDED, indirect=True)


@pytest.fixture
def connection(installation: Installation) -> Any:
    """A Kombu connection to the embedded broker."""
    with installation.kombu() as connection:
        yield connection


@pytest.fixture
def queue(installation: Installation, connection: Connection) -> Queue:
    """A declared queue, bound to nothing but the default exchange."""
    queue = Queue(f"{installation.prefix}_plain", channel=connection.default_channel)
    queue.declare()
    return queue


def send(connection: Connection, body: Any, queue: Queue, **more: Any) -> None:
    """Publish straight into a queue."""
    Producer(connection).publish(body, routing_key=queue.name, **more)


def bodies(queue: Queue) -> list[str]:
    """Take everything out of a queue."""
    taken = []
    while (message := queue.get()) is not None:
        message.ack()
        taken.append(message.payload)
    return taken


class Echo(ConsumerMixin):  # type: ignore[misc]  # kombu is untyped
    """What Kombu's manual tells everyone to write."""

    def __init__(self, connection: Connection, queue: Queue) -> None:
        self.connection = connection
        self.queue = queue
        self.seen: list[str] = []

    def get_consumers(self, consumer: Any, channel: Any) -> list[Consumer]:
        """Consume one queue."""
        return [consumer([Queue(self.queue.name)], callbacks=[self.on_message])]

    def on_message(self, body: str, message: Any) -> None:
        """Reject the first copy of the first message; stop after the second message."""
        if body == "first" and not message.delivery_info["redelivered"]:
            message.requeue()
            return
        message.ack()
        self.seen.append(body)
        self.should_stop = len(self.seen) == 2


def test_kombus_consumer_mixin_works(connection: Connection, queue: Queue) -> None:
    """It consumes, requeues and acknowledges, in order."""
    send(connection, "first", queue)
    send(connection, "second", queue)
    echo = Echo(connection.clone(), queue)

    echo.run()

    assert sorted(echo.seen) == ["first", "second"]
    assert queue.get() is None


def test_a_message_can_be_fetched_by_hand(connection: Connection, queue: Queue) -> None:
    """``Queue.get`` hands out one message, or None; rejected, it is gone."""
    assert queue.get() is None
    send(connection, "one", queue)

    message = queue.get()
    assert (message.payload, message.delivery_info["redelivered"]) == ("one", False)
    assert queue.get() is None
    message.requeue()
    message = queue.get()
    assert (message.payload, message.delivery_info["redelivered"]) == ("one", True)
    message.reject()
    assert queue.get() is None


def test_no_ack_needs_none(
    installation: Installation, connection: Connection, queue: Queue
) -> None:
    """With ``no_ack`` a message is settled when it is delivered, fetched or consumed."""
    send(connection, "fetched", queue)
    assert queue.get(no_ack=True).payload == "fetched"
    send(connection, "consumed", queue)
    seen: list[str] = []
    consumer = Consumer(
        connection, [queue], no_ack=True, on_message=lambda m: seen.append(m.payload)
    )
    with consumer:
        connection.drain_events(timeout=5)

    assert seen == ["consumed"]
    assert not installation.waiting().exists()


def test_a_closed_channel_gives_back_what_it_held(connection: Connection, queue: Queue) -> None:
    """Unsettled messages return to their queue, marked as redelivered."""
    send(connection, "held", queue)
    with connection.clone() as other:
        Queue(queue.name, channel=other.default_channel).get()
        assert queue.get() is None

    message = queue.get()
    assert (message.payload, message.delivery_info["redelivered"]) == ("held", True)


def test_purging_spares_what_somebody_holds(connection: Connection, queue: Queue) -> None:
    """``purge`` deletes what is ready and says how much that was."""
    for text in ("held", "ready", "ready too"):
        send(connection, text, queue)
    held = queue.get()

    assert queue.queue_declare(passive=True).message_count == 2
    assert queue.purge() == 2
    held.requeue()
    assert bodies(queue) == ["held"]


def test_a_deleted_queue_is_not_there(connection: Connection, queue: Queue) -> None:
    """Neither its messages nor its bindings, and a passive declare says so, as AMQP does."""
    exchange = Exchange(f"{queue.name}_topic", type="topic", channel=connection.default_channel)
    exchange.declare()
    queue.bind_to(exchange, routing_key="#")
    send(connection, "lost", queue)

    queue.delete()

    with pytest.raises(ChannelError, match="NOT_FOUND") as raised:
        queue.queue_declare(passive=True)
    assert raised.value.reply_code == "404"
    Producer(connection, exchange).publish("nowhere", routing_key="key")
    queue.declare()
    assert bodies(queue) == []


def test_a_deleted_exchange_leaves_its_queues_alone(connection: Connection, queue: Queue) -> None:
    """Bindings go, messages stay."""
    exchange = Exchange(f"{queue.name}_topic", type="topic", channel=connection.default_channel)
    exchange.declare()
    queue.bind_to(exchange, routing_key="#")
    send(connection, "kept", queue)

    exchange.delete()

    Producer(connection, exchange, auto_declare=False).publish("nowhere", routing_key="key")
    assert bodies(queue) == ["kept"]


@pytest.mark.parametrize(
    ("kind", "reached"), [("direct", ["same"]), ("fanout", ["same", "other"]), ("topic", ["same"])]
)
def test_every_kind_of_exchange_routes(
    connection: Connection, queue: Queue, kind: str, reached: list[str]
) -> None:
    """Direct by equality, fanout to everyone, topic by pattern."""
    exchange = Exchange(f"{queue.name}_{kind}", type=kind)
    queues = {
        key: Queue(f"{queue.name}_{key}", exchange, routing_key=key) for key in ("same", "other")
    }
    bound = {key: each(connection.default_channel) for key, each in queues.items()}
    for each in bound.values():
        each.declare()

    Producer(connection, exchange).publish("text", routing_key="same")

    assert [key for key, each in bound.items() if bodies(each) == ["text"]] == reached


def test_bindings_are_everybodys(connection: Connection, queue: Queue) -> None:
    """What one process binds and unbinds holds for those who only know the exchange's name."""
    exchange = Exchange(f"{queue.name}_topic", type="topic", channel=connection.default_channel)
    exchange.declare()
    queue.bind_to(exchange, routing_key="video.#")
    with connection.clone() as other:
        producer = Producer(other, auto_declare=False)
        producer.publish("bound", exchange=exchange.name, routing_key="video.upload")
        queue.unbind_from(exchange, routing_key="video.#")
        producer.publish("unbound", exchange=exchange.name, routing_key="video.upload")

    assert bodies(queue) == ["bound"]


def test_a_publish_joins_the_open_transaction(
    installation: Installation, connection: Connection, queue: Queue
) -> None:
    """Rolled back, it was never published."""
    with transaction.atomic(using=installation.alias):
        send(connection, "never", queue)
        transaction.set_rollback(True, using=installation.alias)
    send(connection, "ever", queue)

    assert bodies(queue) == ["ever"]


def test_the_url_names_the_database(installation: Installation, queue: Queue) -> None:
    """``django://alias`` is another database than ``django://``, without any options."""
    with Connection(f"django://{installation.alias}") as connection:
        send(connection, "here", queue)
        assert connection.default_channel.alias == installation.alias

    assert bodies(queue) == ["here"]
    with Connection("django://") as connection:
        assert connection.default_channel.alias == "default"


def test_what_kombu_encodes_comes_back(connection: Connection, queue: Queue) -> None:
    """Times, numbers and bytes in the headers come back as what they were, as on Redis."""
    headers = {
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "total": Decimal("1.10"),
        "raw": bytes(range(256)),
        "depth": {"list": [1, 2.5, None, True, "é"], "id": UUID(int=1)},
    }
    send(connection, {"a": 1}, queue, headers=headers)

    message = queue.get()
    assert message.payload == {"a": 1}
    assert {name: message.headers[name] for name in headers} == headers


def test_who_never_waits_hears_of_everything(connection: Connection, queue: Queue) -> None:
    """A loop of its own drains without a timeout, and gets what is published between its rounds."""
    got: list[Any] = []
    with Consumer(connection, [queue], callbacks=[lambda body, _: got.append(body)], no_ack=True):
        for number in range(3):
            send(connection, number, queue)
            wait_until(lambda: drained(connection), message=f"message {number}")
    assert got == [0, 1, 2]


def drained(connection: Connection) -> bool:
    """Take what is there; say whether that was anything."""
    try:
        connection.drain_events(timeout=0)
    except TimeoutError:
        return False
    return True
