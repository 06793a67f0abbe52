"""What if somebody puts something else than a message into a queue? It arrives, as bytes."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest
import redis

from taskrouting.transport.messages import Arrival
from tests.conformance.installation import Installation, identities
from tests.conformance.places import FILESYSTEM, REDIS, SQS

#: Not JSON; JSON, but no envelope; an envelope that lacks what Kombu looks for.
STRAYS = ["<xml/>", '{"a": 1}', '"text"', '{"body": "e30=", "properties": {}}']


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
    for text in STRAYS:
        put(installation, queue, text)
    event = installation.send("video.upload")

    with installation.taking(queue) as taker:
        arrivals = taker.take_and_acknowledge(len(STRAYS) + 1)
    strays = [each for each in arrivals if "message_id" not in each.properties]
    assert len(strays) == len(STRAYS)
    assert {words(each) for each in strays} >= {text.replace(" ", "") for text in STRAYS[:3]}
    assert identities([each for each in arrivals if each not in strays]) == [event.id]
    with installation.taking(queue) as taker:
        assert not taker.receiver.drain(0.3)


def words(arrival: Arrival) -> str:
    """The body, without the spaces in which two ways of writing JSON differ."""
    return arrival.body.decode().replace(" ", "")
