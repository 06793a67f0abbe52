"""What if somebody puts something else than a message into a queue? It arrives, as bytes."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest
import redis

from taskrouting.transport.messages import Arrival
from tests.conformance.installation import Installation, identities
from tests.conformance.places import FILESYSTEM, REDIS, SQS

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
    "[" * 100_000,  # deeper than Python reads
    "[" * 500 + "]" * 500,  # deeper than anybody needs
    '{"__type__": "uuid", "__value__": 7}',  # Kombu's own way of writing a UUID, gone wrong
    '{"__type__": ["a"], "__value__": 7}',
    '{"__type__": "decimal", "__value__": "x"}',
    enveloped(body=10**12),  # bytes() of it would be that many
    enveloped(body={"a": 1}),
    enveloped(body="\ud800", properties={"delivery_tag": "tag"}),
    enveloped(headers=["a"]),
    enveloped(headers={"compression": ["a"]}),
    enveloped(headers={"x-taskrouting-exchange": {"a": 1}, "x-taskrouting-token": [1]}),
    enveloped(properties=["a"]),
    enveloped(**{"content-type": 7}),
    with_property(body_encoding="zip"),
    with_property(delivery_info="here"),
    with_property(delivery_info={"exchange": 7, "routing_key": ["a"]}),
    with_property(delivery_tag=["a"]),
    with_property(delivery_tag=False),  # Redis keeps it with what is not settled
    with_property(delivery_tag="\ud800"),
]


def put(installation: Installation, queue: str, text: str) -> None:
    """Put ``text`` into a queue as somebody does who knows nothing of Kombu."""
    {REDIS: into_redis, FILESYSTEM: into_folder, SQS: into_sqs}[installation.name](
        installation, queue, text
    )


def into_redis(installation: Installation, queue: str, text: str) -> None:
    """Push it on the list."""
    prefix = installation.place.options["global_keyprefix"]
    with redis.Redis.from_url(installation.place.url) as client:
        client.lpush(f"{prefix}{queue}", text)


def into_folder(installation: Installation, queue: str, text: str) -> None:
    """Write a file."""
    folder = Path(installation.place.options["data_folder_out"])
    (folder / f"0_{uuid.uuid4()}.{queue}.msg").write_text(text)


def into_sqs(installation: Installation, queue: str, text: str) -> None:
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
    client.send_message(QueueUrl=address["QueueUrl"], MessageBody=text)


@pytest.mark.parametrize("place", [REDIS, FILESYSTEM, SQS], indirect=True)
def test_strays_arrive_and_what_is_behind_them_too(installation: Installation) -> None:
    """What is no message arrives for us to keep, and neither ends the consumer nor comes again."""
    queue = installation.queue("video.#")
    installation.declare()
    for number, text in enumerate(STRAYS):
        put(installation, queue, text.replace('"tag"', f'"tag {number}"'))
    event = installation.send("video.upload")

    with installation.taking(queue, prefetch=2 * len(STRAYS)) as taker:
        arrivals = taker.take_and_acknowledge(len(STRAYS) + 1)
    strays = [each for each in arrivals if "message_id" not in each.properties]
    assert len(strays) == len(STRAYS)
    assert {words(each) for each in strays} >= {text.replace(" ", "") for text in PLAIN[:3]}
    assert identities([each for each in arrivals if each not in strays]) == [event.id]
    with installation.taking(queue) as taker:
        assert not taker.receiver.drain(0.3)


def words(arrival: Arrival) -> str:
    """The body, without the spaces in which two ways of writing JSON differ."""
    return arrival.body.decode(errors="replace").replace(" ", "")
