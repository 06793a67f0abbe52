"""What if somebody puts something else than a message into a queue? It arrives, as bytes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest
import redis
from kombu import Connection, Consumer, Producer, Queue
from kombu.transport import memory
from kombu.utils import json as kombu_json

from taskrouting.transport import strays
from taskrouting.transport.messages import Arrival
from tests.conformance.installation import Installation, identities
from tests.conformance.places import EMBEDDED, FILESYSTEM, MEMORY, REDIS, SQS

#: What Kombu puts around a body.
ENVELOPE = {
    "body": "e30=",
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {},
    "properties": {
        "body_encoding": "base64",
        "delivery_tag": "tag",
        "delivery_info": {"exchange": "", "routing_key": "video.upload"},
    },
}

#: Not JSON; JSON, but no envelope; an envelope that lacks what Kombu looks for.
PLAIN = ["<xml/>", '{"a": 1}', '"text"', '{"body": "e30=", "properties": {}}']


def enveloped(**changes: Any) -> str:
    """An envelope with something else in a place, as JSON."""
    return json.dumps(ENVELOPE | changes)


def with_property(**changes: Any) -> str:
    """An envelope with something else among its properties."""
    return enveloped(properties={**ENVELOPE["properties"], **changes})  # type: ignore[dict-item]


STRAYS = [
    *PLAIN,
    "[" * 200_000,  # deeper than Python reads
    "[" * 500 + "]" * 500,  # deeper than anybody needs
    f'{{"body": {"9" * 5000}}}',  # a number longer than Python reads
    '{"__type__": "uuid", "__value__": 7}',  # Kombu's own way of writing a UUID, gone wrong
    '{"__type__": "uuid", "__value__": {"hex": "zz"}}',
    '{"__type__": "datetime", "__value__": 5}',
    '{"__type__": ["a"], "__value__": 7}',
    '{"__type__": "decimal", "__value__": "x"}',
    enveloped(body=10**12),  # bytes() of it would be that many
    enveloped(body={"a": 1}),
    enveloped(body="\ud800", properties={"delivery_tag": "tag"}),
    enveloped(headers=["a"]),
    enveloped(properties=["a"]),
    enveloped(properties=None),
    enveloped(**{"content-type": 7}),
    with_property(body_encoding="zip"),
    with_property(delivery_info="here"),
    with_property(delivery_info={"exchange": 7, "routing_key": ["a"]}),
    with_property(priority=float("inf")),  # no priority to go back with
]

#: Tags that Kombu cannot keep; SQS gives every message one of its own.
TAGS = [with_property(delivery_tag=tag) for tag in (["a"], False, None, "\ud800")]

#: Not even text: Kombu would put a question mark in the place of each byte it cannot read.
BYTES = [
    b"\xff\xfe\x00<",
    b'"\xff"',
    enveloped(headers={"name": "M?ller"}).encode().replace(b"?", "\u00fc".encode("latin-1")),
]

#: Messages of Kombu's that only look odd: they are read like any other.
ODD = [
    enveloped(headers=None),
    enveloped(headers={"compression": ["a"]}),
    enveloped(headers={"x-taskrouting-exchange": {"a": 1}, "x-taskrouting-token": [1]}),
    with_property(delivery_info=None),
    with_property(delivery_info={"exchange": "not there", "routing_key": "nowhere"}),
    with_property(priority="high"),
]


def put(installation: Installation, queue: str, content: bytes) -> None:
    """Put ``content`` into a queue as somebody does who knows nothing of Kombu."""
    {REDIS: into_redis, FILESYSTEM: into_folder, SQS: into_sqs}[installation.name](
        installation, queue, content
    )


def into_redis(installation: Installation, queue: str, content: bytes) -> None:
    """Push it on the list."""
    prefix = installation.place.options["global_keyprefix"]
    with redis.Redis.from_url(installation.place.url) as client:
        client.lpush(f"{prefix}{queue}", content)


def into_folder(installation: Installation, queue: str, content: bytes) -> None:
    """Write a file."""
    folder = Path(installation.place.options["data_folder_out"])
    hidden = folder / f"{uuid.uuid4()}"
    hidden.write_bytes(content)
    hidden.rename(folder / f"0_{uuid.uuid4()}.{queue}.msg")


def into_sqs(installation: Installation, queue: str, content: bytes) -> None:
    """Send it as it is."""
    options, url = installation.place.options, installation.place.url
    client: Any = boto3.client(
        "sqs",
        region_name=options["region"],
        endpoint_url=url.replace("sqs://key:secret@", "http://"),
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    address = client.get_queue_url(QueueName=f"{options['queue_name_prefix']}{queue}")
    client.send_message(QueueUrl=address["QueueUrl"], MessageBody=content.decode())


def thrown_in(installation: Installation, queue: str, odd: Sequence[str] = ()) -> list[bytes]:
    """Put every stray into the queue, each with a tag of its own; return their bytes."""
    texts = [*STRAYS, *odd, *([] if installation.name == SQS else TAGS)]
    contents = [
        text.replace('"tag"', f'"tag {number}"').encode() for number, text in enumerate(texts)
    ]
    contents += [] if installation.name == SQS else BYTES
    for content in contents:
        put(installation, queue, content)
    return contents


def bodies(arrivals: Sequence[Arrival]) -> list[bytes]:
    """What came, in an order of its own."""
    return sorted(arrival.body for arrival in arrivals)


@pytest.mark.parametrize("place", [REDIS, FILESYSTEM, SQS], indirect=True)
def test_strays_arrive_and_what_is_behind_them_too(installation: Installation) -> None:
    """What is no message arrives byte for byte, from its queue, and costs no neighbour anything."""
    queue, other = installation.queues({"queue": ["video.#"], "other": ["user.#"]})
    installation.declare()
    thrown = thrown_in(installation, queue)
    events = [installation.send("video.upload"), installation.send("user.login")]

    with installation.taking(queue, other, prefetch=2 * len(thrown)) as taker:
        arrivals = taker.take_and_acknowledge(len(thrown) + 2)
    strays = [each for each in arrivals if "message_id" not in each.properties]
    assert bodies(strays) == sorted(thrown)
    assert {each.queue for each in strays} == {queue}
    messages = [each for each in arrivals if each not in strays]
    assert sorted(identities(messages)) == sorted(event.id for event in events)
    with installation.taking(queue, other) as taker:
        assert not taker.receiver.drain(0.3)


@pytest.mark.parametrize("place", [REDIS, FILESYSTEM], indirect=True)
def test_strays_that_are_handed_back_come_again(installation: Installation) -> None:
    """A worker whose database is away gives back what it took: nothing is lost, nothing doubled."""
    queue, other = installation.queues({"queue": ["#"], "other": ["#"]})
    installation.declare()
    thrown = thrown_in(installation, queue, ODD)
    room = 2 * len(thrown)
    with installation.taking(queue, prefetch=room) as taker:
        first = taker.take(len(thrown))

    with installation.taking(queue, other, prefetch=room) as taker:
        again = taker.take_and_acknowledge(len(thrown))
        assert not taker.receiver.drain(0.3)
    assert bodies(again) == bodies(first)
    assert {each.queue for each in again} == {queue}


@pytest.mark.parametrize("place", [REDIS, FILESYSTEM, SQS], indirect=True)
@pytest.mark.parametrize("text", ODD)
def test_what_only_looks_odd_is_read(installation: Installation, text: str) -> None:
    """A message of Kombu's that says less than usual, or nonsense beside its body, has its body."""
    queue = installation.queue("video.#")
    installation.declare()
    put(installation, queue, text.encode())

    with installation.taking(queue) as taker:
        (arrival,) = taker.take_and_acknowledge()
    assert (arrival.body, arrival.content_type) == (b"{}", "application/json")


#: Headers that one program of Kombu's may send and another cannot read.
HEADERS: list[Any] = [
    {"name": {"__type__": "uuid", "__value__": 7}},
    {"name": {"__type__": "no such thing", "__value__": 7}},
    {"name": reduce(lambda inner, _: [inner], range(500), [])},
]


@pytest.mark.parametrize("place", [MEMORY, *EMBEDDED], indirect=True)
def test_headers_that_nobody_can_read_arrive_too(installation: Installation) -> None:
    """Where Kombu reads no text, what it cannot make sense of still costs only itself."""
    queue = installation.queue("video.#")
    installation.declare()
    with installation.kombu() as connection:
        for headers in HEADERS:
            Producer(connection).publish(
                b"{}", routing_key=queue, headers=headers, content_type="application/json"
            )
    event = installation.send("video.upload")

    with installation.taking(queue) as taker:
        arrivals = taker.take_and_acknowledge(len(HEADERS) + 1)
        assert not taker.receiver.drain(0.3)
    assert identities([each for each in arrivals if "message_id" in each.properties]) == [event.id]


class Drawer(memory.Channel):  # type: ignore[misc]  # kombu is untyped
    """A channel of some other transport: it holds text, and reads what it has taken."""

    queues: ClassVar[dict[str, Any]] = {}

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        return kombu_json.loads(super()._get(queue))


class Chest(memory.Transport):  # type: ignore[misc]  # kombu is untyped
    """The transport of such channels."""

    Channel = Drawer


@pytest.mark.parametrize("text", [*STRAYS, *TAGS])
def test_strays_arrive_on_transports_we_know_nothing_of(text: str) -> None:
    """What a transport of Kombu's cannot read is delivered as the text it is."""
    arrivals: list[Any] = []
    with Connection(transport=Chest) as connection, connection.channel() as channel:
        queue = f"drawer-{uuid.uuid4()}"
        strays.tolerate(channel, queue, "chest")
        Consumer(channel, [Queue(queue)], on_message=arrivals.append, auto_declare=False).consume()
        channel._put(queue, text)
        connection.drain_events(timeout=1)

    assert arrivals[0].body.replace(b" ", b"") == text.replace(" ", "").encode()


@pytest.mark.parametrize("place", [FILESYSTEM], indirect=True)
def test_a_file_that_is_being_written_is_left_alone(installation: Installation) -> None:
    """Whoever writes a file has opened it first: what is empty has only begun."""
    queue = installation.queue("video.#")
    installation.declare()
    file = Path(installation.place.options["data_folder_out"]) / f"0_{uuid.uuid4()}.{queue}.msg"
    file.touch()

    with installation.taking(queue) as taker:
        assert not taker.receiver.drain(0.3)
        file.write_bytes(b"text")
        assert taker.take_and_acknowledge()[0].body == b"text"
