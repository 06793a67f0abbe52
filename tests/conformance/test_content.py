"""Do bytes, keys and headers arrive as they were sent?"""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from kombu import Producer

from taskrouting.consuming import delivery
from taskrouting.events import Event
from taskrouting.models import DeadLetter
from taskrouting.transport import store
from taskrouting.transport.messages import Arrival, Message
from tests.conformance.installation import Installation, identities
from tests.conformance.places import QUORUM, SQS

#: Almost what ``MAX_MESSAGE_BYTES`` allows by default.
LARGE = 1_000_000

#: The last one is 85 characters of three bytes each: as long as AMQP takes them.
KEYS = ["видео.загрузка", "日.本", "a b.c+d(e", "vid*.#x", "🎬", "日" * 85]


def event_of(arrival: Arrival) -> Event:
    """Decode what arrived, as a worker does."""
    return delivery.decode(arrival)


def received(installation: Installation, queue: str, count: int = 1) -> list[Arrival]:
    """Take ``count`` messages off ``queue``."""
    with installation.taking(queue) as taker:
        return taker.take_and_acknowledge(count)


def test_a_large_body_arrives_whole(installation: Installation) -> None:
    """A megabyte arrives. SQS takes no message so large: there it is a dead letter, at once."""
    queue = installation.queue("video.#")
    large = installation.send("video.upload", "x" * LARGE)
    small = installation.send("video.upload", "x")

    if installation.name == SQS:
        assert identities(received(installation, queue)) == [small.id]
        letter = DeadLetter.objects.get()
        assert (letter.reason, letter.event_id) == ("refused", large.id)
    else:
        arrived = {each.properties["message_id"]: each for each in received(installation, queue, 2)}
        assert event_of(arrived[large.id]).data == "x" * LARGE


def test_binary_data_arrives_byte_by_byte(installation: Installation) -> None:
    """Every byte there is, as an event's data."""
    queue = installation.queue("video.#")
    everything = bytes(range(256))
    installation.send("video.upload", everything)

    assert event_of(received(installation, queue)[0]).data == everything


def test_routing_keys_arrive_as_they_were_sent(installation: Installation) -> None:
    """Any text of 255 bytes is a routing key, and the longest fits into every column and frame."""
    queue = installation.queue("#")
    sent = {event.id: event for event in map(installation.publish, KEYS)}
    installation.relay()

    for arrival in received(installation, queue, len(KEYS)):
        event = sent.pop(arrival.properties["message_id"])
        assert (arrival.exchange, arrival.routing_key) == (installation.exchange, event.type)
        assert event_of(arrival) == event
    assert sent == {}


def test_a_foreign_message_arrives_as_it_was_sent(installation: Installation) -> None:
    """Body, headers and properties of a producer that knows Kombu and not us are untouched."""
    queue = installation.queue("video.#")
    installation.declare()
    body = bytes(range(256))
    headers = {"tenant": "Ærø", "depth": {"list": [1, 2.5, None, True]}, "empty": ""}
    properties = {"message_id": "1", "app_id": "camera", "correlation_id": "c", "reply_to": "r"}
    with installation.kombu() as connection:
        Producer(connection).publish(
            body,
            routing_key=queue,
            headers=headers,
            content_type="image/jpeg",
            content_encoding="binary",
            **properties,
        )

    arrival = received(installation, queue)[0]
    assert arrival.body == body
    assert (arrival.content_type, arrival.content_encoding) == ("image/jpeg", "binary")
    assert {name: arrival.headers[name] for name in headers} == headers
    assert {name: arrival.properties[name] for name in properties} == properties
    assert (arrival.subscription, arrival.token, arrival.redelivered) == (None, None, False)


def test_foreign_texts_arrive_as_their_bytes(installation: Installation) -> None:
    """Text comes as the bytes of its encoding."""
    queue = installation.queue("video.#")
    installation.declare()
    texts = ["text", "Ærø 🎬", '{"a": "é"}']
    with installation.kombu() as connection:
        for text in texts:
            Producer(connection).publish(text, routing_key=queue, serializer=None)

    bodies = [arrival.body for arrival in received(installation, queue, len(texts))]
    assert sorted(bodies) == sorted(text.encode() for text in texts)


def test_a_message_survives_being_handed_back(installation: Installation) -> None:
    """What was handed back comes again with the same bytes, headers and address."""
    queue = installation.queue("video.#")
    installation.send("video.upload", bytes(range(256)), extensions={"tenant": "a"})
    with installation.taking(queue) as taker:
        first = taker.take()[0]
        taker.receiver.hand_back(first)
        second = taker.take_and_acknowledge()[0]

    assert visible(second) == visible(first)


def visible(arrival: Arrival) -> dict[str, Any]:
    """What a handler can see of a message, whichever copy it is."""
    return {
        "event": event_of(arrival),
        "body": arrival.body,
        "routing_key": arrival.routing_key,
        "exchange": arrival.exchange,
        "content_type": arrival.content_type,
        "content_encoding": arrival.content_encoding,
    }


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "lzma"])
def test_compressed_messages_arrive_readable(installation: Installation, compression: str) -> None:
    """``COMPRESSION``: the relay sends less, and the consumer sees what was published."""
    installation.configure(COMPRESSION=compression)
    queue = installation.queue("video.#")
    event = installation.send("video.upload", "x" * 10_000)

    arrival = received(installation, queue)[0]
    assert event_of(arrival) == event
    if installation.broker.can.embedded:  # what is in the database already is sent nowhere
        assert "compression" not in arrival.headers
    else:
        assert len(arrival.body) < 1_000


def test_a_compressed_message_survives_being_handed_back(installation: Installation) -> None:
    """What goes back to its queue goes back packed, and is still known to be."""
    installation.configure(COMPRESSION="gzip")
    queue = installation.queue("video.#")
    event = installation.send("video.upload", "x" * 10_000)
    with installation.taking(queue) as taker:
        taker.receiver.hand_back(taker.take()[0])
        again = taker.take_and_acknowledge()[0]

    assert event_of(again) == event


def test_what_is_packed_already_is_not_packed_twice(installation: Installation) -> None:
    """A dead letter that came packed is redriven packed, whatever ``COMPRESSION`` says."""
    installation.configure(COMPRESSION="lzma")
    queue = installation.queue("video.#")
    installation.declare()
    packed = Message(
        queue=queue,
        body=zlib.compress(b'{"title": "Bunny"}'),
        routing_key="video.upload",
        headers={"compression": "application/x-gzip"},
        content_type="application/json",
    )
    store.put([packed], using=installation.alias)
    installation.relay()

    arrival = received(installation, queue)[0]
    assert arrival.body == packed.body
    assert event_of(arrival).data == {"title": "Bunny"}


def put(installation: Installation, queue: str, body: bytes, **headers: Any) -> None:
    """Send bytes as a program does that knows Kombu and not us."""
    with installation.kombu() as connection:
        Producer(connection).publish(
            body,
            routing_key=queue,
            headers=headers,
            content_type="application/json",
            content_encoding="binary",
        )


@pytest.mark.parametrize("packed", [b"not gzip", zlib.compress(bytes(10 * LARGE))])
def test_what_cannot_be_unpacked_is_delivered_as_it_is(
    installation: Installation, packed: bytes
) -> None:
    """Broken bytes, and few that stand for ten megabytes, reach us packed: we keep them."""
    queue = installation.queue("video.#")
    installation.declare()
    put(installation, queue, packed, compression="application/x-gzip")
    fence = installation.send("video.upload")

    broken, whole = received(installation, queue, 2)
    assert broken.body == packed
    with pytest.raises(delivery.Undeliverable) as undeliverable:
        delivery.decode(broken)
    assert undeliverable.value.reason == "undecodable"
    assert identities([whole]) == [fence.id]


@pytest.mark.parametrize("place", [QUORUM], indirect=True)
@pytest.mark.parametrize("codec", ["punycode", "utf-16", "hex", "no such thing"])
def test_no_sender_chooses_a_codec(installation: Installation, codec: str) -> None:
    """The body stays bytes: decoding as the sender says may take time with the square of them."""
    queue = installation.queue("video.#")
    installation.declare()
    with installation.kombu() as connection:
        Producer(connection).publish(
            b"bcher-kva", routing_key=queue, content_type="text/x", content_encoding=codec
        )

    assert received(installation, queue)[0].body == b"bcher-kva"
