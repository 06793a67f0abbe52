"""What happens to a message, step by step? The real codec, routing, ledger and handlers, inline."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from taskrouting import (
    Batch,
    Event,
    publish,
    publish_many,
    subscribe,
)
from taskrouting.consuming.judging import Outcome
from taskrouting.models import AuditLog, Delivery, Message
from taskrouting.transport import store
from taskrouting.transport.messages import Message as Parcel
from tests.integration.copies import outcomes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]


def test_an_event_reaches_its_handler_and_the_audit_log_once(run_subscribers):
    """One publish is one handled delivery and one audit row, with the event's own data."""
    seen: list[Event] = []

    @subscribe("video.#", queue="video_queue", name="keeper")
    def keep(event):
        seen.append(event)
        return {"kept": event.data["title"]}

    event = publish("video.upload", {"title": "Bunny"}, subject="videos/1")
    run_subscribers()

    assert [each.id for each in seen] == [event.id]
    assert seen[0] == event
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.result) == ("handled", 1, {"kept": "Bunny"})
    assert row.finished_at >= row.started_at
    record = AuditLog.objects.get()
    assert (record.event_id, record.data, record.subject) == (
        event.id,
        {"title": "Bunny"},
        "videos/1",
    )
    assert not Message.objects.exists()


def test_the_queue_decides_what_runs(run_subscribers):
    """A copy on one queue runs that queue's subscriptions and no other's."""
    ran: list[str] = []
    subscribe("video.#", queue="video_queue", name="a")(lambda event: ran.append("a"))
    subscribe("video.#", queue="other_queue", name="b")(lambda event: ran.append("b"))
    subscribe("user.#", queue="video_queue", name="c")(lambda event: ran.append("c"))

    publish("video.upload")
    run_subscribers()

    assert sorted(ran) == ["a", "b"]


def test_a_routing_key_nobody_handles_is_still_recorded(run_subscribers):
    """``user.login`` reaches only the audit queue."""
    subscribe("video.#", queue="video_queue", name="a")(print)

    publish("user.login", {"user": 7})
    run_subscribers()

    assert AuditLog.objects.get().routing_key == "user.login"
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("effects", ["database", "external"])
def test_an_async_handler_works(run_subscribers, effects):
    """``async def`` handlers run, and may use the ORM's async methods."""

    @subscribe("video.#", queue="video_queue", name="a", effects=effects)
    async def keep(event):
        await Group.objects.acreate(name=event.id)

    event = publish("video.upload")

    assert outcomes(run_subscribers()) == [Outcome.HANDLED]
    assert Group.objects.get().name == event.id


def test_what_a_handler_publishes_carries_the_conversation_on(run_subscribers):
    """Correlation and causation travel by themselves."""

    @subscribe("video.upload", queue="video_queue", name="a")
    def answer(event):
        publish("video.ready")

    subscribe("video.ready", queue="video_queue", name="b")(lambda event: None)
    first = publish("video.upload")
    run_subscribers()

    second = AuditLog.objects.get(routing_key="video.ready")
    assert second.causation_id == first.id
    assert second.correlation_id == first.correlation_id == first.id


def test_a_batch_is_handed_over_together(run_subscribers):
    """A batch subscription gets a list, and each event is recorded for itself."""
    sizes: list[int] = []
    subscribe("bulk.#", queue="bulk_queue", name="bulk", batch=Batch(size=100))(
        lambda events: sizes.append(len(events))
    )

    publish_many([(f"bulk.{number}", None) for number in range(5)])
    run_subscribers()

    assert sizes == [5]
    assert Delivery.objects.filter(state="handled", attempts=1).count() == 5


def test_an_event_recorded_twice_is_one_row(run_subscribers):
    """Whatever is delivered again, the audit log has it once."""
    event = publish("user.login")
    publish_many([event])
    run_subscribers()

    assert AuditLog.objects.filter(event_id=event.id).count() == 1


def test_a_raw_message_in_the_store_reaches_its_queue(run_subscribers):
    """What a foreign producer put on a ``django://`` queue is handled like any message."""
    seen: list[object] = []
    subscribe("depot.#", queue="depot_queue", name="a")(lambda event: seen.append(event.data))
    store.put(
        [
            Parcel(
                queue="depot_queue",
                routing_key="depot.moved",
                body=b'{"from": 1}',
                content_type="application/json",
            )
        ]
    )

    run_subscribers()

    assert seen == [{"from": 1}]
