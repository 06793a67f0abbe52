"""What becomes of an event that no queue wants, or whose queue is gone?"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from taskrouting import signals
from taskrouting.models import DeadLetter
from taskrouting.transport import store
from taskrouting.transport.messages import OUTBOX, Message
from tests.conformance.installation import Installation, identities
from tests.conformance.places import EMBEDDED, EVERYWHERE, RABBITMQ

#: Where a relay takes events out of an outbox, and may die over it.
RELAYED = [name for name in EVERYWHERE if name not in EMBEDDED]


def dead_letters(installation: Installation) -> Any:
    """Every dead letter, as its reason, queue, routing key and event."""
    letters = DeadLetter.objects.using(installation.alias)
    return list(letters.values_list("reason", "queue", "routing_key", "event_id"))


def test_an_event_that_no_queue_wants_is_kept(installation: Installation) -> None:
    """It becomes a dead letter with its exchange and its bytes, and nothing waits any more."""
    queue = installation.queue("video.#")
    event = installation.send("user.login", {"name": "Ada"})
    wanted = installation.send("video.upload")

    assert dead_letters(installation) == [("unroutable", OUTBOX, "user.login", event.id)]
    letter = DeadLetter.objects.using(installation.alias).get()
    assert letter.exchange == installation.exchange
    assert b"Ada" in bytes(letter.body)
    assert not installation.waiting().filter(event_id=event.id).exists()
    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge()) == [wanted.id]


def test_an_installation_without_subscriptions_keeps_what_it_publishes(
    installation: Installation,
) -> None:
    """Nobody subscribes to anything yet: the exchange is there, and the event is kept."""
    event = installation.send("user.login")

    assert dead_letters(installation) == [("unroutable", OUTBOX, "user.login", event.id)]


def test_unrouted_events_can_be_ignored(installation: Installation) -> None:
    """``UNROUTED = "ignore"``: an event that no queue wants leaves nothing behind."""
    installation.configure(UNROUTED="ignore")
    installation.queue("video.#")
    event = installation.send("user.login")

    assert dead_letters(installation) == []
    assert not installation.waiting().filter(event_id=event.id).exists()


@pytest.mark.parametrize("place", RELAYED, indirect=True)
def test_the_dead_letter_is_kept_before_the_outbox_lets_go(installation: Installation) -> None:
    """A relay that dies between the two has lost nothing: the row is still there."""
    seen: list[bool] = []

    def look(*, event_id: str, **kept: Any) -> None:
        seen.append(installation.waiting().filter(event_id=event_id, queue=OUTBOX).exists())

    signals.dead_letter_kept.connect(look)
    installation.send("user.login")
    signals.dead_letter_kept.disconnect(look)

    assert seen == [True]
    assert not installation.waiting().exists()


@pytest.mark.parametrize("place", RELAYED, indirect=True)
def test_a_relay_that_died_over_it_keeps_no_second_dead_letter(installation: Installation) -> None:
    """The row that it left behind is found unroutable again, and that is the same dead letter."""
    event = installation.publish("user.login")
    left_behind = installation.waiting().values().get()
    installation.relay()
    assert not installation.waiting().exists()

    installation.waiting().create(**left_behind)
    installation.relay()

    assert dead_letters(installation) == [("unroutable", OUTBOX, "user.login", event.id)]
    assert not installation.waiting().exists()


@pytest.mark.parametrize("place", EMBEDDED, indirect=True)
def test_what_is_rolled_back_was_not_unroutable_either(installation: Installation) -> None:
    """Where publishing routes, the dead letter belongs to the business transaction."""
    with transaction.atomic(using=installation.alias):
        installation.publish("user.login")
        assert len(dead_letters(installation)) == 1
        transaction.set_rollback(True, using=installation.alias)

    assert dead_letters(installation) == []


@pytest.mark.parametrize("place", RABBITMQ, indirect=True)
def test_a_copy_for_a_queue_that_is_gone_is_kept(installation: Installation) -> None:
    """A retry addressed to a queue that was deleted becomes a dead letter that names the queue."""
    installation.queue("video.#")
    gone = f"{installation.prefix}_gone"
    copy = Message(queue=gone, body=b"{}", routing_key="video.upload", event_id="1")
    store.put([copy], using=installation.alias)

    installation.relay()

    assert [letter[1:] for letter in dead_letters(installation)] == [(gone, "video.upload", "1")]
    assert not installation.waiting().exists()


@pytest.mark.parametrize("place", RABBITMQ, indirect=True)
def test_a_copy_for_a_queue_that_is_gone_is_never_ignored(installation: Installation) -> None:
    """``UNROUTED`` speaks of events that nobody wants; this one was on its way to somebody."""
    installation.configure(UNROUTED="ignore")
    gone = f"{installation.prefix}_gone"
    copy = Message(queue=gone, body=b"{}", routing_key="video.upload", event_id="1")
    store.put([copy], using=installation.alias)

    installation.relay()

    assert [letter[1:] for letter in dead_letters(installation)] == [(gone, "video.upload", "1")]
