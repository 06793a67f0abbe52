"""What happens while the broker is away? Nobody's request hangs, and nothing is lost or burnt."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import transaction

from taskrouting import publish, publish_many
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message
from taskrouting.transport.messages import OUTBOX
from tests import processes
from tests.acceptance.test_worker import depot, handled  # noqa: F401  # a fixture
from tests.proxy import Proxy, proxy
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("depot")]

#: A port nobody listens on: the broker is away for good.
NOWHERE = "amqp://guest:guest@127.0.0.1:1//"

_connects: list[object] = []
_watching = False


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    """Note every outgoing connection of this process; audit hooks stay for good."""
    if _watching and event == "socket.connect":
        _connects.append(arguments[1])


sys.addaudithook(_watch)


@pytest.fixture(params=["empty_rabbitmq_url", "empty_redis_url"])
def door(request) -> Iterator[tuple[Proxy, str]]:
    """A proxy in front of a real broker, and the URL that leads through it."""
    url = urlsplit(request.getfixturevalue(request.param))
    default = 6379 if url.scheme == "redis" else 5672
    with proxy(url.hostname or "127.0.0.1", url.port or default) as running:
        credentials = url.netloc.rpartition("@")[0]
        place = f"{credentials}@" if credentials else ""
        yield running, urlunsplit(url._replace(netloc=f"{place}127.0.0.1:{running.port}"))


def test_publishing_opens_no_socket(settings):
    """``publish()`` writes to the database and to nothing else, broker or no broker."""
    global _watching
    settings.TASKROUTING = {"BROKER_URL": NOWHERE}
    AuditLog.objects.exists()  # the database's own connection is open

    _connects.clear()
    _watching = True
    try:
        with transaction.atomic():
            event = publish("video.upload", {"n": 1})
            publish_many([("video.upload", None)] * 3)
    finally:
        _watching = False

    assert _connects == []
    assert Message.objects.filter(queue=OUTBOX).count() == 4
    assert Message.objects.filter(event_id=event.id).exists()


def test_a_broker_that_comes_and_goes_costs_nothing(door, settings, tmp_path, unique_name):
    """Away at the start, away in the middle: every event is handled once, no attempt is burnt."""
    running, url = door
    # Redis gives back what a lost connection held when its visibility timeout has passed.
    options = {"BROKER_URL": url, "EXCHANGE": unique_name, "LEASE": 2}
    settings.TASKROUTING = {"SOURCE": "tests", **options}
    running.close_door()
    publish_many([("depot.write.row", {"n": n}) for n in range(10)])

    with processes.worker(tmp_path, **options) as worker:
        wait_until(
            lambda: "trying again" in worker.printed(), timeout=30, message="a word about it"
        )
        assert Message.objects.count() == 10
        running.open_door()
        wait_until(lambda: handled(10), timeout=30, message=f"the first ten; see {worker.log}")

        publish_many([("depot.call.slow", {"n": n, "seconds": 0.05}) for n in range(30)])
        wait_until(lambda: not handled(10), timeout=30, message="some of the next")
        running.close_door()
        publish_many([("depot.write.row", {"n": n}) for n in range(10)])
        running.open_door()
        wait_until(lambda: handled(50), timeout=60, message=f"all; see {worker.log}")
        wait_until(lambda: AuditLog.objects.count() == 50, timeout=30, message="the audit log")

    assert set(Delivery.objects.values_list("attempts", "crashes")) == {(1, 0)}
    assert not DeadLetter.objects.exists()
    assert not Message.objects.filter(token__isnull=False).exists()
    assert "back after" in worker.printed()
