"""What does a worker do with a message that only a worker of another release can handle?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import F

from taskrouting import conf, operators, subscribe
from taskrouting.consuming import batches, delivery
from taskrouting.consuming.judging import Outcome
from taskrouting.consuming.presence import Presence
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message, WorkerProcess
from taskrouting.transport import messages
from taskrouting.transport.messages import Arrival
from tests.integration.copies import arrival, site

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]


@pytest.fixture
def newer() -> WorkerProcess:
    """A live worker of a newer release, whose code wants ``video.ready`` on the same queue."""
    return WorkerProcess.objects.create(
        name="newer",
        host="h",
        pid=1,
        version="1",
        threads=1,
        queues=["video_queue"],
        subscriptions={"video_queue": {"mail": ["video.ready"]}},
    )


def ready(**changes: Any) -> Arrival:
    """A message that only the newer release wants."""
    values = {
        "body": b'{"n": 7}',
        "properties": {"message_id": "m-1", "app_id": "shop"},
        "routing_key": "video.ready",
    }
    return arrival(**{**values, **changes})


def addressed(name: str) -> Arrival:
    """A retry for the subscription ``name``, whose delivery waits for it."""
    row = Delivery.objects.create(
        event_id="m-1",
        source="shop",
        subscription=name,
        queue="video_queue",
        routing_key="video.ready",
        token=uuid4(),
    )
    return ready(subscription=name, token=row.token)


def test_a_worker_says_what_its_code_subscribes(subscriptions):
    """The others learn of it from its row, before any binding of its reaches them."""
    subscribe("video.#", "image.*", queue="video_queue", name="index")(print)

    Presence(["video_queue"], 1).beat()

    assert WorkerProcess.objects.get().subscriptions == {
        "video_queue": {"index": ["video.#", "image.*"]}
    }


def test_a_message_for_the_other_release_is_passed_on(newer):
    """It waits for a moment, in its own queue and under its own key, and is no dead letter."""
    subscribe("video.upload", queue="video_queue", name="index")(print)
    here, acknowledged = site()

    assert delivery.deliver(ready(), here) == []

    row = Message.objects.get()
    assert (row.queue, row.routing_key, row.event_id, row.source) == (
        "video_queue",
        "video.ready",
        "m-1",
        "shop",
    )
    assert row.available_at > row.created_at
    assert len(acknowledged) == 1
    assert not DeadLetter.objects.exists()


def test_what_was_passed_on_is_handled_by_the_release_that_knows_it(newer, run_subscribers):
    """As the event it was, once: the broker's second copy of it is a duplicate."""
    here, _ = site()
    delivery.deliver(ready(), here)
    delivery.deliver(ready(redelivered=True), here)  # this worker died before it acknowledged
    handled: list[Any] = []
    subscribe("video.ready", queue="video_queue", name="mail")(handled.append)

    run_subscribers(wait_for_delays=True)

    assert [(event.id, event.source, event.data) for event in handled] == [
        ("m-1", "shop", {"n": 7})
    ]
    assert not Message.objects.exists()


def test_a_retry_for_the_other_release_keeps_its_right_to_run(newer, run_subscribers):
    """Its token travels with it, or the ledger would take it for a duplicate."""
    here, _ = site()

    assert delivery.deliver(addressed("mail"), here) == []

    assert Message.objects.get().token == Delivery.objects.get().token
    handled: list[Any] = []
    subscribe("video.ready", queue="video_queue", name="mail")(handled.append)
    run_subscribers(wait_for_delays=True)
    assert len(handled) == 1
    assert Delivery.objects.get().state == "handled"


def test_what_grows_when_it_is_passed_on_is_read_all_the_same(newer, settings, run_subscribers):
    """As an event of ours it is larger than what came, which was as large as it may be."""
    body = b'"' + b"x" * 998 + b'"'
    settings.TASKROUTING = {"MAX_MESSAGE_BYTES": len(body)}
    here, _ = site()

    delivery.deliver(ready(body=body), here)

    handled: list[Any] = []
    subscribe("video.ready", queue="video_queue", name="mail")(handled.append)
    run_subscribers(wait_for_delays=True)
    assert [event.data for event in handled] == ["x" * 998]


def test_a_suspect_stays_a_suspect(newer):
    """What may have killed a worker of the other release goes back to it as what it is."""
    here, _ = site()

    delivery.deliver(ready(redelivered=True), here)

    assert messages.REPEAT in Message.objects.get().headers


@pytest.mark.parametrize(
    "changes",
    [
        {"queue": "other_queue"},
        {"routing_key": "video.gone"},
        {"subscription": "post", "token": uuid4()},
    ],
)
def test_what_no_release_wants_is_a_dead_letter_at_once(newer, changes):
    """Another queue, key or name than the other release knows is nothing to wait for."""
    here, acknowledged = site()

    delivery.deliver(ready(**changes), here)

    assert DeadLetter.objects.get().reason == "unmatched"
    assert not Message.objects.exists()
    assert len(acknowledged) == 1


def test_a_worker_that_is_dead_is_not_waited_for(newer):
    """Nothing circulates for ever: silent for longer than three leases, it is not counted on."""
    here, _ = site()
    nearly = 3 * conf.current().lease - timedelta(seconds=30)
    WorkerProcess.objects.update(seen_at=F("seen_at") - nearly)
    assert delivery.deliver(ready(), here) == []

    WorkerProcess.objects.update(seen_at=F("seen_at") - timedelta(seconds=31))
    delivery.deliver(ready(), here)

    assert DeadLetter.objects.get().reason == "unmatched"


def test_the_audit_log_of_another_release_is_not_robbed(newer, settings):
    """A batch passes on, too, and what it can record it records."""
    settings.TASKROUTING = {"AUDIT": {"queue": "video_queue", "bindings": ["video.upload"]}}
    here, acknowledged = site()
    mine = arrival(b"{}", properties={"message_id": "m-2", "app_id": "shop"})

    batches.deliver([ready(), mine], here)

    assert [row.event_id for row in AuditLog.objects.all()] == ["m-2"]
    assert [row.event_id for row in Message.objects.all()] == ["m-1"]
    assert sorted(each.properties["message_id"] for each in acknowledged) == ["m-1", "m-2"]


def test_a_retry_that_nobody_knows_is_dead_with_its_delivery(run_subscribers):
    """The ledger says that it is dead; whoever gives the name back may redrive it."""
    here, _ = site()

    assert delivery.deliver(addressed("renamed"), here) == [Outcome.DEAD]

    row, letter = Delivery.objects.get(), DeadLetter.objects.get()
    assert (row.state, row.token) == ("dead", None)
    assert (letter.reason, letter.delivery, letter.subscription) == ("unmatched", row.pk, "renamed")
    handled: list[Any] = []
    subscribe("video.#", queue="video_queue", name="renamed")(handled.append)
    assert operators.redrive(letter) is True
    run_subscribers()
    assert [event.id for event in handled] == ["m-1"]
    assert Delivery.objects.get().state == "handled"


def test_discarding_such_a_retry_closes_its_delivery():
    """Nothing is left in the ledger that says it waits."""
    here, _ = site()
    delivery.deliver(addressed("renamed"), here)

    operators.discard(DeadLetter.objects.get(), "the subscription was removed")

    assert Delivery.objects.get().state == "discarded"


def test_a_copy_without_the_right_to_run_buries_nobody():
    """Its delivery goes on elsewhere; only the copy is kept."""
    copy = addressed("renamed")
    Delivery.objects.update(token=uuid4(), state="running")
    here, _ = site()

    delivery.deliver(copy, here)

    assert Delivery.objects.get().state == "running"
    assert DeadLetter.objects.get().delivery is None


def test_strange_names_in_an_address_are_only_not_found():
    """NUL and the like, which a database refuses, end in a dead letter all the same."""
    here, acknowledged = site()
    odd = {"message_id": "a\x00b", "app_id": "\ud800"}

    delivery.deliver(ready(subscription="c\x00d", token=uuid4(), properties=odd), here)

    assert DeadLetter.objects.count() == len(acknowledged) == 1
