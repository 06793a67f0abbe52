"""What becomes of messages whose handler does not end? Here without a broker that helps."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connections

from taskrouting import Batch, conf, publish_many, subscribe
from taskrouting.consuming import batches, groups
from taskrouting.consuming.site import Site
from taskrouting.models import Delivery, Message
from taskrouting.transport import receiving, store
from tests.waiting import wait_until

QUEUE = "stuck_queue"

#: Seconds for what takes a few of them, on a busy machine.
PATIENCE = 60


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("subscriptions")
@pytest.mark.parametrize(
    ("batch", "together"), [(Batch(), batches.deliver), (None, groups.run)], ids=["batch", "group"]
)
def test_what_runs_together_and_cannot_be_stopped_is_taken_apart(batch, together):
    """Nobody is charged; a copy of each message, addressed and due, takes the place of all."""
    ours, theirs = socket.socketpair()

    @subscribe("stuck.#", queue=QUEUE, name="stuck", batch=batch, timeout=0.1)
    def write_and_block(event_or_events):
        Group.objects.create(name="never committed")
        ours.recv(1)

    events = publish_many([("stuck.item", number) for number in range(3)])
    alias = conf.current().database
    claimed = store.claim(QUEUE, 10, timedelta(hours=1), using=alias)
    arrivals = [receiving.arrival_of(row, QUEUE) for row in claimed]
    acknowledged: list[object] = []
    reasons: list[str] = []
    site = Site(worker="test", acknowledge=acknowledged.append, retire=reasons.append)

    def deliver():
        together(arrivals, site)
        connections.close_all()

    stuck = threading.Thread(target=deliver)
    stuck.start()
    try:
        wait_until(lambda: reasons, timeout=PATIENCE, message="the batch to be given up")
        rows, settled = list(Delivery.objects.all()), list(acknowledged)
    finally:
        theirs.send(b"!")
        stuck.join(PATIENCE)
        ours.close()
        theirs.close()

    assert {row.event_id for row in rows} == {event.id for event in events}
    assert {(row.state, row.attempts, row.crashes) for row in rows} == {("pending", 0, 0)}
    copies = Message.objects.filter(subscription="stuck")
    assert {copy.token for copy in copies} == {row.token for row in rows}
    assert settled == []
    assert not stuck.is_alive()
    assert not Group.objects.exists()
    assert {row.token for row in Delivery.objects.all()} == {row.token for row in rows}
