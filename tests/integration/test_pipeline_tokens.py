"""Which copy of an event may run? Duplicates, leases and spent tokens."""

from __future__ import annotations

from uuid import uuid4

import pytest

from taskrouting import (
    publish,
    subscribe,
)
from taskrouting.consuming import delivery
from taskrouting.consuming.judging import Outcome
from taskrouting.models import Delivery, Message
from tests.integration.copies import arrival, site

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]


def test_a_copy_that_comes_twice_is_a_duplicate():
    """The ledger refuses the second copy of the same event for the same subscription."""
    calls: list[str] = []
    subscribe("video.#", queue="video_queue", name="a")(lambda event: calls.append(event.id))
    here, acknowledged = site()
    copy = arrival(b'{"n": 1}', properties={"message_id": "m-1", "app_id": "shop"})

    first = delivery.deliver(copy, here)
    second = delivery.deliver(copy, here)

    assert (first, second) == ([Outcome.HANDLED], [Outcome.DUPLICATE])
    assert calls == ["m-1"]
    assert len(acknowledged) == 2


def test_two_sources_may_count_alike():
    """An id is unique per source, no more: two producers' ``1`` are two events."""
    calls: list[str] = []
    subscribe("video.#", queue="video_queue", name="a")(lambda event: calls.append(event.source))
    here, _ = site()

    for source in ("shop", "depot"):
        delivery.deliver(arrival(b"{}", properties={"message_id": "1", "app_id": source}), here)

    assert calls == ["shop", "depot"]


def test_an_external_handler_runs_under_a_lease_without_our_transaction():
    """While it runs, its delivery is RUNNING, its copy waits, and the broker's is settled."""
    seen: dict[str, object] = {}
    here, acknowledged = site()

    @subscribe("video.#", queue="video_queue", name="a", effects="external")
    def look(event):
        seen["state"] = Delivery.objects.get().state
        seen["lease"] = Message.objects.get().token == Delivery.objects.get().token
        seen["acknowledged"] = len(acknowledged)
        seen["held"] = len(here.leases.tokens())

    assert delivery.deliver(arrival(b"{}"), here) == [Outcome.HANDLED]
    assert seen == {"state": "running", "lease": True, "acknowledged": 1, "held": 1}
    assert not Message.objects.exists()
    assert not here.leases.tokens()
    assert Delivery.objects.get().token is None


def test_a_worker_that_lost_its_token_records_nothing():
    """Fenced: who was silent for longer than its lease cannot write an outcome."""
    here, _ = site()

    @subscribe("video.#", queue="video_queue", name="a", effects="external")
    def slow(event):
        Delivery.objects.update(token=uuid4())  # another worker has taken over meanwhile

    assert delivery.deliver(arrival(b"{}"), here) == [Outcome.LOST]
    assert Delivery.objects.get().state == "running"


def test_a_copy_whose_token_is_spent_does_not_run(run_subscribers):
    """Two copies with one token: the first exchanges it, the second is a DUPLICATE."""
    calls: list[int] = []
    here, _ = site()

    @subscribe("video.#", queue="video_queue", name="a")
    def fail_once(event):
        calls.append(1)
        if len(calls) == 1:
            raise ValueError

    delivery.deliver(arrival(b"{}"), here)
    waiting = Message.objects.get()
    copy = arrival(
        bytes(waiting.body),
        content_type=waiting.content_type,
        subscription="a",
        token=waiting.token,
    )

    assert delivery.deliver(copy, here) == [Outcome.HANDLED]
    assert delivery.deliver(copy, here) == [Outcome.DUPLICATE]
    assert len(calls) == 2


def test_several_external_subscriptions_each_get_a_copy_of_their_own(run_subscribers):
    """One message, two external handlers: each runs once, under a lease of its own."""
    calls: list[str] = []
    for name in ("a", "b"):
        subscribe("video.#", queue="video_queue", name=name, effects="external")(
            lambda event, name=name: calls.append(name)
        )
    subscribe("video.#", queue="video_queue", name="c")(lambda event: calls.append("c"))

    publish("video.upload")
    run_subscribers()

    assert sorted(calls) == ["a", "b", "c"]
    assert Delivery.objects.filter(state="handled").count() == 3
