"""What does a consumer see when the broker fails it? One exception, and it may come back."""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit, urlunsplit

import pytest

from taskrouting.exceptions import BrokerUnavailable
from taskrouting.transport import receiving
from tests.conformance.installation import PATIENCE, TICK, Installation, identities
from tests.conformance.places import QUORUM, RABBITMQ, REDIS, SQS
from tests.waiting import wait_until

#: A port on which nobody listens.
NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize("place", [QUORUM, REDIS, SQS], indirect=True)
def test_a_broker_that_is_away_is_said_to_be(installation: Installation) -> None:
    """Connecting to nobody raises BrokerUnavailable, within seconds, and names no password."""
    scheme = installation.place.url.partition("://")[0]
    installation.configure(BROKER_URL=f"{scheme}://user:secret@{NOBODY}/")

    with pytest.raises(BrokerUnavailable) as raised, installation.broker.connect():
        pass
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("place", [QUORUM], indirect=True)
def test_of_several_addresses_the_next_one_is_tried(installation: Installation) -> None:
    """A cluster's nodes are named in one URL; whichever answers is taken, for relay and worker."""
    url = installation.place.url
    installation.configure(BROKER_URL=f"amqp://{NOBODY}//;{url}")
    queue = installation.queue("video.#")
    event = installation.send("video.upload")

    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge()) == [event.id]


@pytest.mark.parametrize(
    ("end", "text"),
    [
        ("//shop", "After two slashes in TASKROUTING['BROKER_URL'] the vhost is called '/shop'; "),
        ("/shop", "Create it (rabbitmqctl add_vhost shop), or name another in BROKER_URL."),
        ("wrong", "Are user and password in TASKROUTING['BROKER_URL'] right?"),
    ],
)
@pytest.mark.parametrize("place", [QUORUM], indirect=True)
def test_a_broker_that_says_no_is_explained(
    installation: Installation, end: str, text: str
) -> None:
    """A wrong password, a vhost that is not there: the hint says where to look."""
    url = urlsplit(installation.place.url)
    wrong = url._replace(netloc=url.netloc.replace(f":{url.password}@", ":wrong@"))
    url = wrong if end == "wrong" else url._replace(path=end)
    installation.configure(BROKER_URL=urlunsplit(url))

    with pytest.raises(BrokerUnavailable, match=re.escape(text)), installation.broker.connect():
        pass


@pytest.mark.parametrize("place", RABBITMQ, indirect=True)
def test_a_queue_deleted_under_its_consumer_ends_the_session(installation: Installation) -> None:
    """RabbitMQ cancels the consumer: the worker connects, declares and consumes anew."""
    queue = installation.queue("video.#")
    installation.declare()
    with installation.taking(queue) as taker, installation.kombu() as connection:
        connection.channel().queue_delete(queue)
        with pytest.raises(BrokerUnavailable):
            wait_until(lambda: taker.receiver.drain(TICK), timeout=PATIENCE)

    event = installation.send("video.upload")
    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge()) == [event.id]


@pytest.mark.parametrize("place", RABBITMQ, indirect=True)
def test_a_channel_that_the_broker_closes_ends_the_session(installation: Installation) -> None:
    """What RabbitMQ says when it closes a channel (too late an acknowledgement, say) is a fault."""
    with (
        pytest.raises(BrokerUnavailable, match="NOT_FOUND"),
        installation.broker.connect() as connection,
    ):
        connection.channel().queue_declare(f"{installation.prefix}_unknown", passive=True)


@pytest.mark.parametrize("place", [QUORUM], indirect=True)
def test_an_idle_consumer_is_not_cut_off(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer sends its heartbeats while nothing comes, and hears those of RabbitMQ."""
    monkeypatch.setattr(receiving, "HEARTBEAT", 1)
    monkeypatch.setattr(receiving, "CHECK_EVERY", 0.2)
    queue = installation.queue("video.#")
    with installation.taking(queue) as taker:
        missed = time.monotonic() + 4
        wait_until(lambda: taker.receiver.drain(TICK) or time.monotonic() > missed)
        event = installation.send("video.upload")
        assert identities(taker.take_and_acknowledge()) == [event.id]


@pytest.mark.parametrize("place", [QUORUM], indirect=True)
def test_an_idle_publisher_promises_no_heartbeats(installation: Installation) -> None:
    """RabbitMQ cuts off who has promised heartbeats and is silent, as a relay without work is."""
    with installation.broker.connect() as connection:
        assert connection.connection.heartbeat == 0
