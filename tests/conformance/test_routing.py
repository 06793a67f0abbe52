"""Does every transport route as RabbitMQ does? Every case that was measured on it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from kombu import Exchange, Producer, Queue

from taskrouting import publish_many
from taskrouting.transport import routes
from taskrouting.transport.broker import declare_exchange
from tests.conformance.installation import Installation
from tests.conformance.places import EMBEDDED, EVERYWHERE, QUORUM, RABBITMQ, SQS

TABLE = json.loads((Path(__file__).parents[1] / "cases" / "topic_routing.json").read_text())
PATTERNS: list[str] = TABLE["patterns"]

#: Each routing key with the patterns that want it.
CASES: list[tuple[str, list[str]]] = TABLE["matches"]

#: ``publish()`` refuses an empty key; a foreign producer may send one.
PUBLISHED = [(key, patterns) for key, patterns in CASES if key]

#: Where the broker itself does not route by the grammar of AMQP.
ROUTED_BY_US = [name for name in EVERYWHERE if name not in RABBITMQ]

#: Keys sent before what became of them is looked at.
ROUND = 60

#: Where only each so many-th case is sent: SQS is slow, and there it is we who route, as on Redis;
#: RabbitMQ's exchange is the same before both types of queue, and quorum queues are dear.
SAMPLE = {SQS: 10, QUORUM: 5}


def rounds(
    cases: Sequence[tuple[str, list[str]]],
) -> Iterator[Sequence[tuple[str, list[str]]]]:
    """Cut the cases into portions."""
    return (cases[start : start + ROUND] for start in range(0, len(cases), ROUND))


def wanted(cases: Sequence[tuple[str, list[str]]]) -> dict[str, list[str]]:
    """Say which routing keys each pattern wants."""
    keys = defaultdict(list)
    for key, patterns in cases:
        for pattern in patterns:
            keys[pattern].append(key)
    return keys


def taken(channel: Any, queue: str, count: int) -> list[str]:
    """Take ``count`` messages out of a queue, if it has so many; return their routing keys."""
    bound = Queue(queue, channel=channel)
    messages = [bound.get(no_ack=True, accept=None) for _ in range(count)]
    return sorted(json.loads(message.body)["type"] for message in messages if message is not None)


def compare(channel: Any, queues: dict[str, str], portion: Sequence[tuple[str, list[str]]]) -> None:
    """Take what came to the queues of these patterns; it must be what each of them wants."""
    keys = wanted(portion)
    for pattern, name in queues.items():
        assert taken(channel, name, len(keys[pattern])) == sorted(keys[pattern]), pattern


def topic_queues(installation: Installation, patterns: Sequence[str]) -> dict[str, str]:
    """Subscribe one queue per pattern; return the queues' names by pattern."""
    wanted = {f"q{number}": [pattern] for number, pattern in enumerate(patterns)}
    return dict(zip(patterns, installation.queues(wanted), strict=True))


def test_every_key_reaches_the_queues_it_reaches_on_rabbitmq(installation: Installation) -> None:
    """What we publish comes to each queue that RabbitMQ chose for its key, once, and no other."""
    sample = SAMPLE.get(installation.name, 1)
    queues = topic_queues(installation, PATTERNS[::sample])
    installation.configure(OUTBOX_KEEP="until_confirmed")  # for speed; elsewhere it is the default
    installation.declare()

    with installation.kombu() as connection:
        channel = connection.default_channel
        for portion in rounds(PUBLISHED[::sample]):
            publish_many([(key, None) for key, _ in portion], using=installation.alias)
            installation.relay()
            with installation.together():
                compare(channel, queues, portion)
        assert [name for name in queues.values() if taken(channel, name, 1)] == []


@pytest.mark.parametrize("place", ROUTED_BY_US, indirect=True)
def test_where_we_route_we_choose_as_rabbitmq_does(installation: Installation) -> None:
    """Where the broker does not route, every case of the table is decided as RabbitMQ did."""
    assert not installation.broker.can.routes
    queues = topic_queues(installation, PATTERNS)
    with installation.broker.connect() as connection:
        declare_exchange(connection.default_channel, installation.exchange)
        known = routes.of_connection(connection)

        chosen = {key: known.queues(key) for key, _ in CASES}

    assert chosen == {key: sorted(queues[each] for each in patterns) for key, patterns in CASES}


@pytest.mark.parametrize("place", EMBEDDED, indirect=True)
def test_plain_kombu_routes_on_the_embedded_broker(installation: Installation) -> None:
    """A program that knows Kombu and not us finds on django:// what it would find on RabbitMQ."""
    exchange = Exchange(installation.exchange, type="topic", durable=True)
    names = {each: f"{installation.prefix}_q{number}" for number, each in enumerate(PATTERNS)}
    with installation.kombu() as connection:
        channel = connection.default_channel
        producer = Producer(channel, exchange)
        for pattern, name in names.items():
            Queue(name, exchange, routing_key=pattern, channel=channel).declare()
        for portion in rounds(CASES):
            with installation.together():
                for key, _ in portion:
                    producer.publish({"type": key}, routing_key=key)
            with installation.together():
                compare(channel, names, portion)
        assert [name for name in names.values() if taken(channel, name, 1)] == []


def test_a_queue_gets_one_copy_however_many_patterns_match(installation: Installation) -> None:
    """A message that several bindings of one queue want comes to it once."""
    queue = installation.queue("video.*", "*.upload", "video.upload.#")
    installation.send("video.upload")
    with installation.taking(queue) as taker:
        taker.take_and_acknowledge()
        assert not taker.receiver.drain(0.2)


def test_a_foreign_queue_gets_its_copy_where_bindings_can_be_seen(
    installation: Installation,
) -> None:
    """What another program binds to our exchange receives our events, on all but SQS.

    SQS keeps no bindings; there each process routes by its own code, and says so.
    """
    can = installation.broker.can
    installation.queue("#")
    installation.declare()
    foreign = f"{installation.prefix}_foreign"
    with installation.kombu() as connection:
        exchange = Exchange(installation.exchange, type="topic", durable=True)
        bound = Queue(foreign, exchange, routing_key="video.#")
        bound(connection.default_channel).declare()

        installation.send("video.upload")
        installation.send("user.login")

        seen = can.routes or can.lists_bindings or not can.shared
        expected = ["video.upload"] if seen else []
        assert taken(connection.default_channel, foreign, 2) == expected
    assert seen is (installation.name != SQS)
