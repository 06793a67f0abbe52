"""What does the relay do with rows that are not simply its own database's, for its own broker?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from kombu import Connection

from taskrouting import publish, subscribe
from taskrouting.consuming import delivery
from taskrouting.events import Event
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message
from taskrouting.publishing.relay import Relay
from taskrouting.transport import broker, messages, receiving, store
from taskrouting.transport.messages import OUTBOX, Arrival
from taskrouting.transport.messages import Message as Parcel
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.usefixtures("subscriptions"),
]


@contextmanager
def relaying(using: str = "default", *, listens: bool = True) -> Iterator[None]:
    """Run the relay of one database for a block."""
    stop = threading.Event()
    relay = Relay(broker.current(), using, listens=lambda: listens)
    thread = threading.Thread(target=relay.run, args=[stop])
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=10)


def test_an_event_of_another_database_reaches_the_embedded_queues(settings, run_subscribers):
    """The row commits with the write on its database; the relay carries it to the ledger's."""
    settings.TASKROUTING = {"OUTBOX_DATABASES": ["default", "other"]}
    seen: list[str] = []
    subscribe("video.#", queue="video_queue", name="a")(lambda event: seen.append(event.id))

    event = publish("video.upload", {"far": True}, using="other")
    assert Message.objects.using("other").get().queue == OUTBOX
    with relaying("other"):
        wait_until(lambda: Message.objects.count() == 2, message="one row per queue")
        wait_until(lambda: not Message.objects.using("other").exists(), message="the outbox row")
    run_subscribers()

    assert seen == [event.id]
    assert AuditLog.objects.get().event_id == event.id
    assert Delivery.objects.get().state == "handled"


def test_one_that_is_not_woken_looks_by_itself(settings):
    """The processes that do not lead move what nobody else does, a moment later."""
    settings.TASKROUTING = {"OUTBOX_DATABASES": ["default", "other"]}

    with relaying("other", listens=False):
        for _ in range(2):
            publish("video.upload", using="other")
            wait_until(lambda: not Message.objects.using("other").exists(), message="the row")

    assert Message.objects.count() == 2


@pytest.mark.parametrize("unrouted", ["record", "ignore"])
def test_an_event_of_another_database_that_no_queue_wants(settings, unrouted):
    """It is a dead letter where the ledger is, or nothing, and waits nowhere any more."""
    settings.TASKROUTING = {
        "OUTBOX_DATABASES": ["default", "other"],
        "AUDIT": {"queue": None},
        "UNROUTED": unrouted,
    }
    event = publish("nobody.listens", using="other")
    left_behind = Message.objects.using("other").values().get()

    for _ in range(2):  # a relay that died before it let the row go finds it again
        with relaying("other"):
            wait_until(lambda: not Message.objects.using("other").exists(), message="the row")
        letters = DeadLetter.objects.values_list("event_id", "reason")
        assert list(letters) == ([(event.id, "unroutable")] if unrouted == "record" else [])
        Message.objects.using("other").create(**left_behind)


def test_rows_of_the_embedded_broker_follow_to_the_next_one(settings, rabbitmq_url, unique_name):
    """After ``BROKER_URL`` changes, what still waits on a queue goes to the queue of that name."""
    subscribe("video.#", queue=f"{unique_name}.video", name="a")(print)
    audit = {"queue": f"{unique_name}.audit"}
    settings.TASKROUTING = {"EXCHANGE": unique_name, "AUDIT": audit}
    event = publish("video.upload", {"n": 1})
    assert Message.objects.count() == 2

    settings.TASKROUTING = {"BROKER_URL": rabbitmq_url, "EXCHANGE": unique_name, "AUDIT": audit}
    with relaying():
        wait_until(lambda: not Message.objects.exists(), message="the rows to leave")

    with Connection(rabbitmq_url) as connection:
        for queue in (f"{unique_name}.video", f"{unique_name}.audit"):
            channel = connection.channel()
            (copy, other) = (channel.basic_get(queue), channel.basic_get(queue))
            assert copy.properties["message_id"] == event.id
            assert other is None


def test_a_message_the_broker_cannot_take_is_kept_and_holds_nobody_up(
    settings, rabbitmq_url, unique_name
):
    """One row that AMQP refuses becomes a dead letter; its neighbours leave."""
    subscribe("video.#", queue=f"{unique_name}.video", name="a")(print)
    settings.TASKROUTING = {
        "BROKER_URL": rabbitmq_url,
        "EXCHANGE": unique_name,
        "AUDIT": {"queue": f"{unique_name}.audit"},
    }
    publish("video.first")
    broken = Parcel(
        routing_key="video.broken",
        event_id="broken",
        source="tests",
        body=b"{}",
        content_type="application/json",
        properties={"message_id": "x" * 300},  # AMQP's short strings end at 255
    )
    store.put([broken], using="default")
    publish("video.last")

    with relaying():
        wait_until(lambda: not Message.objects.exists(), message="the rows to leave")

    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.event_id) == ("refused", "broken")
    assert letter.error == (
        "The broker does not take 'video.broken': its property 'message_id' is 300 bytes long in "
        "UTF-8, and AMQP takes no more than 255."
    )


def test_a_copy_of_a_foreign_event_with_long_attributes_leaves(settings, rabbitmq_url, unique_name):
    """What other brokers carry and AMQP does not as properties stands in the envelope anyway."""
    queue = f"{unique_name}.video"
    subscribe("video.#", queue=queue, name="a")(print)
    settings.TASKROUTING = {
        "BROKER_URL": rabbitmq_url,
        "EXCHANGE": unique_name,
        "AUDIT": {"queue": None},
    }
    long = "😀" * 200
    event = Event(
        id=long, source=long, type=long, correlation_id=long, subject=long, time=datetime.now(UTC)
    )
    copy = messages.of_event(event, exchange="", queue=queue, subscription="a", token=uuid4())
    store.put([copy], using="default")

    with relaying(), receiving.receiver(broker.current()) as receiver:
        wait_until(lambda: not Message.objects.exists(), message="the row to leave")
        arrived: list[Arrival] = []
        receiver.consume({queue: 1}, arrived.append)
        wait_until(lambda: receiver.drain(0.1) and arrived, message="the copy")
        receiver.acknowledge(arrived[0])

    assert delivery.decode(arrived[0]) == event
    assert not DeadLetter.objects.exists()


def test_an_exchange_that_is_gone_is_declared_anew_and_nothing_is_charged(
    settings, rabbitmq_url, unique_name
):
    """A fault of the installation: no row becomes a dead letter, and every event arrives."""
    audit = f"{unique_name}.audit"
    settings.TASKROUTING = {
        "BROKER_URL": rabbitmq_url,
        "EXCHANGE": unique_name,
        "AUDIT": {"queue": audit},
    }
    with Connection(rabbitmq_url) as connection, relaying():
        channel = connection.channel()
        publish("video.first")
        wait_until(lambda: not Message.objects.exists(), message="the first to leave")
        channel.exchange_delete(unique_name)

        for number in range(5):
            publish(f"video.{number}")
        wait_until(lambda: not Message.objects.exists(), timeout=20, message="the rest to leave")

        assert not DeadLetter.objects.exists()
        assert channel.queue_declare(audit, passive=True).message_count == 6


def test_a_queue_that_is_gone_is_a_dead_letter_not_a_loss(settings, rabbitmq_url, unique_name):
    """A retry addressed to a queue that does not exist comes back and is kept, with its token."""
    settings.TASKROUTING = {
        "BROKER_URL": rabbitmq_url,
        "EXCHANGE": unique_name,
        "AUDIT": {"queue": f"{unique_name}.audit"},
    }
    lost = Parcel(
        queue=f"{unique_name}.nowhere",
        routing_key="video.upload",
        event_id="e-1",
        source="tests",
        body=b"{}",
        content_type="application/json",
    )
    store.put([lost], using="default")

    with relaying():
        wait_until(lambda: not Message.objects.exists(), message="the row to leave")

    letter = DeadLetter.objects.get()
    assert letter.queue == f"{unique_name}.nowhere"
    assert letter.reason in ("refused", "unroutable")
