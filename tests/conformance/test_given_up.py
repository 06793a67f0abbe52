"""What becomes of a message that RabbitMQ itself gives up on?"""

from __future__ import annotations

from typing import Any

import pytest

from taskrouting import conf, subscribe
from taskrouting.consuming import delivery, given_up
from taskrouting.consuming.judging import Outcome
from taskrouting.consuming.site import Site
from taskrouting.events import Event
from taskrouting.models import DeadLetter, Delivery
from taskrouting.routing import topology
from taskrouting.routing.subscriptions import registry
from taskrouting.transport.broker import dead_letter_exchange
from taskrouting.transport.messages import RETURNS, Arrival
from tests.conformance.installation import PATIENCE, Installation, Taker, identities
from tests.conformance.places import QUORUM, RABBITMQ
from tests.waiting import wait_until

#: Returns after which RabbitMQ gives up on a message.
LIMIT = 1


def subscribed(installation: Installation, **arguments: Any) -> str:
    """Subscribe a handler that has nothing to do; return the queue's name."""
    queue = installation.queue("video.#", arguments=arguments)
    registry.remove(queue)
    subscribe("video.#", queue=queue, name=queue)(lambda event: None)
    return queue


def hand_back(installation: Installation, queue: str) -> None:
    """Deliver a message and hand it back, until RabbitMQ has enough of it."""
    for _ in range(LIMIT + 1):
        with installation.taking(queue) as taker:
            taker.take()
            taker.receiver.cancel()  # or it comes once more, and counts once more


def site(taker: Taker) -> Site:
    """Where what ``taker`` takes is delivered."""
    return Site(worker="test", acknowledge=taker.receiver.acknowledge)


def take_given_up(installation: Installation) -> tuple[Arrival, list[Outcome]]:
    """Take one message off the broker's dead-letter queue, as a worker does."""
    with installation.taking(dead_letter_exchange(topology.current())) as taker:
        arrival = taker.take()[0]
        outcomes = given_up.take(arrival, site(taker))
        assert not taker.receiver.unsettled, "it would come again"
        return arrival, outcomes


def deliver(installation: Installation, queue: str) -> tuple[Arrival, list[Outcome]]:
    """Take one message off ``queue`` and deliver it."""
    with installation.taking(queue) as taker:
        arrival = taker.take()[0]
        return arrival, delivery.deliver(arrival, site(taker))


def letters() -> list[tuple[str, str, str]]:
    """Every dead letter, as its reason, queue and event."""
    return list(DeadLetter.objects.values_list("reason", "queue", "event_id"))


@pytest.mark.parametrize("place", [QUORUM], indirect=True)
def test_bytes_that_are_no_event_are_kept_and_gone(installation: Installation) -> None:
    """What RabbitMQ gave up on and nobody can read is one dead letter, and comes no more."""
    queue = subscribed(installation, **{"x-delivery-limit": LIMIT})
    installation.declare()
    with installation.kombu() as connection:
        connection.Producer().publish(
            b"{", routing_key=queue, content_type="application/cloudevents+json",
            content_encoding="utf-8",
        )  # fmt: skip
    hand_back(installation, queue)

    assert take_given_up(installation)[1] == [Outcome.DEAD]

    assert [letter.reason for letter in DeadLetter.objects.all()] == ["undecodable"]


@pytest.mark.parametrize("place", [QUORUM], indirect=True)
def test_what_was_only_returned_often_goes_back_and_is_handled(installation: Installation) -> None:
    """A delivery count is no evidence: it runs once, as a suspect, and is charged with nothing."""
    queue = subscribed(installation, **{"x-delivery-limit": LIMIT})
    event = installation.send("video.upload", {"n": 1})
    hand_back(installation, queue)

    assert take_given_up(installation)[1] == [Outcome.SNOOZED]
    installation.relay()
    arrival, outcomes = deliver(installation, queue)

    assert identities([arrival]) == [event.id]
    assert arrival.redelivered
    assert arrival.headers[RETURNS] == 1
    assert not [name for name in arrival.headers if name.startswith(("x-death", "x-first-death"))]
    assert (arrival.exchange, arrival.routing_key) == (installation.exchange, "video.upload")
    assert outcomes == [Outcome.HANDLED]
    assert Delivery.objects.values_list("attempts", "crashes").get() == (1, 0)
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize("place", [QUORUM], indirect=True)
def test_what_comes_back_again_and_again_is_kept(installation: Installation) -> None:
    """Put back ``MAX_CRASHES`` times and never handled: somebody must look at it."""
    installation.configure(MAX_CRASHES=2)
    queue = subscribed(installation, **{"x-delivery-limit": LIMIT})
    event = installation.send("video.upload")

    for _ in range(conf.current().max_crashes):
        hand_back(installation, queue)
        assert take_given_up(installation)[1] == [Outcome.SNOOZED]
        installation.relay()
    hand_back(installation, queue)
    assert take_given_up(installation)[1] == [Outcome.DEAD]

    assert letters() == [("broker", queue, event.id)]
    assert "put back 2 times" in DeadLetter.objects.get().error
    assert not installation.waiting().exists()


@pytest.mark.parametrize("place", [QUORUM], indirect=True)
def test_what_has_crashed_is_kept(installation: Installation) -> None:
    """Delivered too often, and the ledger knows of a crash: it does not go round again."""
    queue = subscribed(installation, **{"x-delivery-limit": LIMIT})
    event = installation.send("video.upload")
    crash(queue, event)
    hand_back(installation, queue)

    assert take_given_up(installation)[1] == [Outcome.DEAD]

    assert letters() == [("broker", queue, event.id)]
    assert "delivery_limit" in DeadLetter.objects.get().error


def crash(queue: str, event: Event) -> None:
    """Let the ledger know that a worker has died over ``event``."""
    Delivery.objects.create(
        event_id=event.id, source=event.source, subscription=queue, queue=queue,
        routing_key=event.type, state="running", crashes=1,
    )  # fmt: skip


@pytest.mark.parametrize("place", RABBITMQ, indirect=True)
@pytest.mark.parametrize("why", ["expired", "rejected"])
def test_what_somebody_wanted_out_of_the_queue_is_kept(
    installation: Installation, why: str
) -> None:
    """Expired or rejected: a dead letter with the reason, under the queue where that happened."""
    ttl = {"x-message-ttl": 1} if why == "expired" else {}
    queue = subscribed(installation, **ttl)
    event = installation.send("video.upload")
    if why == "rejected":
        with installation.kombu() as connection, connection.channel() as channel:
            message = wait_until(lambda: channel.basic_get(queue), timeout=PATIENCE)
            channel.basic_reject(message.delivery_tag, requeue=False)

    _, outcomes = take_given_up(installation)

    assert outcomes == [Outcome.DEAD]
    assert letters() == [("broker", queue, event.id)]
    assert f"reason: {why}" in DeadLetter.objects.get().error


@pytest.mark.parametrize("place", [QUORUM], indirect=True)
def test_taking_it_twice_keeps_it_once(installation: Installation) -> None:
    """A worker that dies before it acknowledges leaves one dead letter, not two."""
    queue = subscribed(installation, **{"x-message-ttl": 1})
    event = installation.send("video.upload")
    with installation.taking(dead_letter_exchange(topology.current())) as taker:
        arrival = taker.take()[0]
        nobody = Site(worker="test", acknowledge=lambda arrival: None)
        assert given_up.take(arrival, nobody) == [Outcome.DEAD]

    assert take_given_up(installation)[1] == [Outcome.DEAD]

    assert letters() == [("broker", queue, event.id)]


@pytest.mark.parametrize("place", [QUORUM], indirect=True)
def test_it_is_the_same_event_as_before(installation: Installation) -> None:
    """A foreign event without a source has its exchange's: handled once, it is a duplicate now."""
    queue = subscribed(installation, **{"x-delivery-limit": LIMIT})
    installation.declare()
    publish_plain(installation, b"{}")
    assert deliver(installation, queue)[1] == [Outcome.HANDLED]
    publish_plain(installation, b"{}")
    hand_back(installation, queue)
    assert take_given_up(installation)[1] == [Outcome.SNOOZED]
    installation.relay()

    assert deliver(installation, queue)[1] == [Outcome.DUPLICATE]
    assert Delivery.objects.get().source == f"amqp:{installation.exchange}"


@pytest.mark.parametrize("place", [QUORUM], indirect=True)
def test_what_cannot_be_read_is_kept_as_such(installation: Installation) -> None:
    """Bytes that are no event do not go round: they are kept for what they are."""
    queue = subscribed(installation, **{"x-delivery-limit": LIMIT})
    installation.declare()
    publish_plain(installation, b"{")
    hand_back(installation, queue)

    assert take_given_up(installation)[1] == [Outcome.DEAD]

    assert [letter[:2] for letter in letters()] == [("undecodable", queue)]


def publish_plain(installation: Installation, body: bytes) -> None:
    """Publish JSON, or what is to be taken for it, as another program does."""
    with installation.kombu() as connection, connection.channel() as channel:
        plain = channel.prepare_message(
            body, content_type="application/json", properties={"message_id": "1"}, headers={}
        )
        channel.basic_publish(plain, exchange=installation.exchange, routing_key="video.upload")
