"""``OUTBOX_KEEP = "until_received"``: does a row wait until the consumer has its message?

The default wherever the broker cannot confirm. What a broker loses is sent again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
import redis
from django.db.models.functions import Now

from taskrouting import conf, subscribe
from taskrouting.consuming import delivery
from taskrouting.consuming.site import Site
from taskrouting.models import Delivery
from taskrouting.transport.broker import kept_until_received
from taskrouting.transport.messages import RELAYED_AT, REPEAT, Arrival
from taskrouting.transport.sending import redis_priority
from tests.conformance.installation import Installation, identities
from tests.conformance.places import FILESYSTEM, MEMORY, REDIS, SQS

UNCONFIRMED = [MEMORY, REDIS, FILESYSTEM, SQS]

#: What else may be next in a list of Redis.
FOREIGN = {"another program's": b'{"headers": {}}', "no message at all": b"[" * 100_000}


@pytest.mark.parametrize("place", UNCONFIRMED, indirect=True)
def test_a_row_per_queue_waits_for_its_consumer(installation: Installation) -> None:
    """The relay keeps one row for each queue that wants the event, after it has sent it."""
    video, audit = installation.queue("video.#", name="video"), installation.queue("#", name="all")

    event = installation.send("video.upload")

    assert kept_until_received(conf.current())
    kept = installation.waiting().filter(event_id=event.id)
    assert sorted(kept.values_list("queue", flat=True)) == sorted([video, audit])
    assert not installation.unsent().exists()


@pytest.mark.parametrize("place", UNCONFIRMED, indirect=True)
def test_the_row_goes_when_its_queue_has_handled_the_message(installation: Installation) -> None:
    """Handling deletes the row of that queue, with the message, and of no other queue."""
    video = f"{installation.prefix}_video"
    subscribe("video.#", queue=video, name=video)(lambda event: None)
    audit = installation.queue("#", name="all")
    event = installation.send("video.upload")

    with installation.taking(video) as taker:
        acknowledged: list[Arrival] = []
        site = Site(worker="test", acknowledge=acknowledged.append, kept=True)
        delivery.deliver(taker.take()[0], site)
        taker.receiver.acknowledge(acknowledged[0])

    assert Delivery.objects.get().state == "handled"
    kept = installation.waiting().filter(event_id=event.id)
    assert list(kept.values_list("queue", flat=True)) == [audit]


@pytest.mark.parametrize("place", UNCONFIRMED, indirect=True)
def test_what_was_not_received_in_time_is_sent_again(installation: Installation) -> None:
    """The second copy says that it is a repeat, so that it runs as a suspect."""
    queue = installation.queue("video.#")
    event = installation.send("video.upload")
    assert installation.waiting().update(available_at=Now()) == 1
    installation.relay()

    with installation.taking(queue) as taker:
        arrivals = taker.take_and_acknowledge(2)
    assert identities(arrivals) == [event.id, event.id]
    assert sorted(arrival.redelivered for arrival in arrivals) == [False, True]
    assert sorted(int(arrival.headers.get(REPEAT, 0)) for arrival in arrivals) == [0, 1]


@contextmanager
def redis_list(installation: Installation, queue: str) -> Iterator[tuple[redis.Redis, str]]:
    """Redis, and the list in which what has the default priority waits."""
    with installation.kombu() as connection, redis.Redis.from_url(installation.place.url) as client:
        key = connection.default_channel._q_for_pri(queue, redis_priority(0))
        yield client, f"{installation.place.options['global_keyprefix']}{key}"


def relay_later(installation: Installation, client: redis.Redis, key: str) -> None:
    """Let everything be due again that is kept, and let what waits have waited for an hour."""
    earlier = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for position in range(client.llen(key)):
        message = json.loads(client.lindex(key, position))
        message["headers"][RELAYED_AT] = earlier
        client.lset(key, position, json.dumps(message))
    installation.waiting().update(available_at=Now())
    installation.relay()


@pytest.mark.parametrize("place", [REDIS], indirect=True)
def test_what_may_still_wait_behind_others_is_not_sent_again(installation: Installation) -> None:
    """A queue of Redis that is longer than its workers are fast is not made longer by copies."""
    queue = installation.queue("video.#")
    first, second = installation.send("video.upload"), installation.send("video.upload")

    with redis_list(installation, queue) as (client, key):
        relay_later(installation, client, key)
        assert client.llen(key) == 2
    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge(2)) == [first.id, second.id]
        assert not taker.receiver.drain(0.1)
    assert not installation.waiting().exists()


@pytest.mark.parametrize("place", [REDIS], indirect=True)
@pytest.mark.parametrize("next_one", ["ours", *FOREIGN])
def test_what_redis_lost_is_sent_again_though_others_wait(
    installation: Installation, next_one: str
) -> None:
    """What was lost was sent before all that waits now, and whoever sent that."""
    queue = installation.queue("video.#")
    lost = installation.send("video.upload")
    with redis_list(installation, queue) as (client, key):
        assert client.delete(key) == 1
        installation.waiting().update(available_at=Now() + timedelta(hours=1))
        if next_one == "ours":
            installation.send("video.ready")
        else:
            client.lpush(
                key, b'{"headers": {}}' if next_one == "another program's" else b"[" * 9999
            )
        installation.waiting().update(available_at=Now())
        installation.relay()

        found = [event_id_of(client.lindex(key, index)) for index in range(client.llen(key))]
        assert lost.id in found
        client.delete(key)


def event_id_of(payload: bytes) -> object:
    """The id of the event in one message of a list, if it is one of ours."""
    with suppress(ValueError, KeyError, RecursionError):
        return json.loads(payload)["properties"]["message_id"]
    return None


@pytest.mark.parametrize("place", UNCONFIRMED, indirect=True)
def test_until_confirmed_trusts_the_broker(installation: Installation) -> None:
    """``OUTBOX_KEEP = "until_confirmed"``: the row goes as soon as the broker has the message."""
    installation.configure(OUTBOX_KEEP="until_confirmed")
    queue = installation.queue("video.#")
    event = installation.send("video.upload")

    assert not installation.waiting().exists()
    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge()) == [event.id]
