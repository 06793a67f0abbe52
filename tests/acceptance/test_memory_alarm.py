"""What happens while RabbitMQ is short of memory? The relay waits, says so, and repeats nothing.

On a node of the test's own: the alarm is one for all who use it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from benchmarks.chaos.servers import RabbitMQ, missing, running
from taskrouting import publish_many
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message
from tests import processes, services
from tests.acceptance.scenes import PATIENCE, wait_for
from tests.acceptance.test_worker import depot
from tests.waiting import wait_until

__all__ = ["depot"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("depot"),
    pytest.mark.faults,
]

#: Seconds a claim holds: shorter than the alarm, and what one relay has in hand, the other would
#: send too, were it not held on to.
CLAIM = 5
HURRY = {
    "taskrouting.publishing.claiming.CLAIM": CLAIM,
    "taskrouting.transport.outage.LONGEST": 0.5,
}

EVENTS = 40


@pytest.fixture
def server() -> Iterator[RabbitMQ]:
    """A RabbitMQ node that only this test uses."""
    if lacking := missing(RabbitMQ):
        services.unavailable("RabbitMQ", "a port of its own", lacking)
    with running(RabbitMQ) as server:
        yield server


def short_of_memory(server: RabbitMQ, share: str) -> None:
    """Let the node raise its alarm when it uses more than this share of the machine's memory."""
    server.control("set_vm_memory_high_watermark", share)


def publish(number: int) -> None:
    """Publish large events: more than fits into the buffers of the sockets."""
    publish_many([("depot.write.row", {"filling": "x" * 100_000})] * number)


def test_the_relay_waits_while_rabbitmq_is_short_of_memory(
    server: RabbitMQ, settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It writes no further, keeps what is on its way, and everything arrives once afterwards."""
    settings.TASKROUTING = {"SOURCE": "tests", "BROKER_URL": server.url}
    variables = {"DEPOT_HURRY": json.dumps(HURRY)}
    command = ("--processes", "2")
    with processes.worker(tmp_path, *command, variables=variables, BROKER_URL=server.url) as worker:
        worker.wait_until_ready(2)
        publish(1)
        wait_until(lambda: AuditLog.objects.count() == 1, timeout=PATIENCE, message="the first")

        short_of_memory(server, "0.0000001")
        publish(EVENTS)
        wait_for(worker, "takes no messages", 3)
        call_command("router_status")
        assert "amqp: reachable, takes NO messages" in capsys.readouterr().out
        lapsed = time.monotonic() + CLAIM + 1
        wait_until(lambda: time.monotonic() > lapsed, timeout=PATIENCE)
        assert 0 < Message.objects.count() <= EVENTS
        assert set(Message.objects.values_list("deliveries", flat=True)) <= {0, 1}

        short_of_memory(server, "0.4")
        wait_until(
            lambda: AuditLog.objects.count() == EVENTS + 1 and not Message.objects.exists(),
            timeout=PATIENCE,
            message="all the others",
        )
        wait_until(lambda: "back after" in worker.printed(), message="a word about it")
        call_command("router_status")
        assert "amqp: reachable\n" in capsys.readouterr().out
    assert "duplicate" not in worker.printed()
    assert set(Delivery.objects.values_list("state", "attempts", "crashes")) == {("handled", 1, 0)}
    assert not DeadLetter.objects.exists()
