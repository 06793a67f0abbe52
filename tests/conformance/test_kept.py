"""``OUTBOX_KEEP = "until_received"``: does a row wait until the consumer has its message?

The default wherever the broker cannot confirm. What a broker loses is sent again.
"""

from __future__ import annotations

import pytest
from django.db.models.functions import Now

from taskrouting import conf, subscribe
from taskrouting.consuming import delivery
from taskrouting.consuming.site import Site
from taskrouting.models import Delivery
from taskrouting.transport.broker import kept_until_received
from taskrouting.transport.messages import REPEAT, Arrival
from tests.conformance.installation import Installation, identities
from tests.conformance.places import FILESYSTEM, MEMORY, REDIS, SQS

UNCONFIRMED = [MEMORY, REDIS, FILESYSTEM, SQS]


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


@pytest.mark.parametrize("place", UNCONFIRMED, indirect=True)
def test_until_confirmed_trusts_the_broker(installation: Installation) -> None:
    """``OUTBOX_KEEP = "until_confirmed"``: the row goes as soon as the broker has the message."""
    installation.configure(OUTBOX_KEEP="until_confirmed")
    queue = installation.queue("video.#")
    event = installation.send("video.upload")

    assert not installation.waiting().exists()
    with installation.taking(queue) as taker:
        assert identities(taker.take_and_acknowledge()) == [event.id]
