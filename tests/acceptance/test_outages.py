"""What is left of an outage? Everything handled once, nothing charged, nothing held on to."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import amqp
import pytest

from taskrouting.models import DeadLetter, Delivery, Message
from taskrouting.routing import topology
from taskrouting.transport import broker
from tests.acceptance.scenes import (
    BESIDE,
    DATABASES,
    FAULT,
    PATIENCE,
    RABBITMQ,
    Scene,
    away,
    belongings,
    scene,
    troubled,
    wait_for,
)
from tests.acceptance.test_worker import depot
from tests.services import opened
from tests.waiting import wait_until

__all__ = ["away", "depot", "scene"]

pytestmark = [pytest.mark.usefixtures("depot"), pytest.mark.faults]

OUTAGES = 50

#: Outages after which every thread has run and every connection has been opened.
WARM = 5

#: Seconds that no test waits for: what is claimed or leased is given back, and does not lapse.
LONG = 600

#: Wait for less than a worker does otherwise: fifty outages would take minutes.
HURRY = {
    "taskrouting.transport.outage.FIRST": 0.02,
    "taskrouting.transport.outage.LONGEST": 0.1,
    "taskrouting.transport.outage.MERCY": 0.1,
    "taskrouting.consuming.leases.SOON": 0.1,
    "taskrouting.publishing.keeping.RESEND": 2,
    "taskrouting.publishing.claiming.CLAIM": LONG,
    "taskrouting.consuming.attempts.SOON": 0.1,
    "taskrouting.consuming.attempts.ASIDE": 0.5,
    "taskrouting.consuming.delivery.ASIDE": 0.5,
}

#: The outage is over for one worker at once, and for the other, which holds the lease, later.
EARLY = {"taskrouting.transport.outage.FIRST": 0.02, "taskrouting.transport.outage.LONGEST": 0.02}
LATE = {"taskrouting.transport.outage.FIRST": 1, "taskrouting.consuming.leases.SOON": 1}
PATIENT = {**EARLY, "taskrouting.transport.outage.MERCY": 4}


def test_fifty_outages_leave_nothing_behind(scene: Scene, tmp_path: Path) -> None:
    """No attempt, no crash, no descriptor and no thread is spent on them, and no event lost.

    Nor is anything left that others could take up only when a claim or a lease has lapsed.
    """
    lease = {} if scene.alias == "default" else {"LEASE": LONG}  # Redis needs a short one
    with scene.worker(tmp_path, hurry=HURRY, **lease) as worker:
        worker.wait_until_ready()
        pid = scene.pid()
        scene.publish_both()
        scene.wait_until_handled(2)
        held = (0, 0)
        for number in range(OUTAGES):
            scene.door.close_door()
            scene.publish_both()
            wait_until(lambda: troubled(worker), timeout=PATIENCE, message="a word about it")
            scene.door.open_door()
            wait_until(lambda: not troubled(worker), timeout=PATIENCE, message="an end of it")
            held = belongings(pid) if number == WARM else held
        scene.wait_until_handled(2 * (OUTAGES + 1))
        # One for every other outage would be a leak; so much may come and go at any time.
        grown = [now - then for now, then in zip(belongings(pid), held, strict=True)]
        assert max(grown) < (OUTAGES - WARM) // 2, grown
        wait_until(
            lambda: not scene.rows(Message).exists(),
            timeout=PATIENCE,
            message="nothing to wait any more",
        )

    assert set(scene.rows(Delivery).values_list("attempts", "crashes")) == {(1, 0)}
    assert not scene.rows(DeadLetter).exists()


@pytest.mark.parametrize("away", DATABASES, indirect=True)
def test_a_database_away_for_longer_than_the_lease_costs_no_crash(
    scene: Scene, tmp_path: Path
) -> None:
    """Away at the start, and away while a handler runs: whoever holds a lease renews it first."""
    log, folder = tmp_path / "calls", tmp_path / "early"
    folder.mkdir()
    scene.door.close_door()
    with scene.worker(tmp_path, hurry=LATE, LEASE=1) as late:
        wait_for(late, FAULT, 0)
        scene.door.open_door()
        scene.publish("depot.call.slow", seconds=5, log=str(log))
        wait_until(lambda: log.exists(), timeout=30, message="the handler to begin")
        with scene.worker(folder, hurry=PATIENT, LEASE=1) as early:
            early.wait_until_ready()
            scene.publish_both()
            wait_until(lambda: scene.rows(Delivery, state="handled").count() >= 2, timeout=60)

            scene.door.close_door()
            lapsed = time.monotonic() + 1.5
            wait_until(lambda: time.monotonic() > lapsed)
            scene.door.open_door()

            scene.wait_until_handled(3)
    assert set(scene.rows(Delivery).values_list("attempts", "crashes")) == {(1, 0)}
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["begin", "end"]


@pytest.mark.parametrize("away", [BESIDE], indirect=True)
def test_while_the_database_is_away_messages_stay_on_the_broker(
    scene: Scene, tmp_path: Path
) -> None:
    """They are taken and handed back once, not in a loop; the log names the database."""
    with scene.worker(tmp_path, hurry=HURRY) as worker, opened(scene.broker_url) as connection:
        worker.wait_until_ready()
        scene.publish_both()
        scene.wait_until_handled(2)
        channel = connection.channel()
        scene.door.close_door()
        for number in range(10):
            channel.basic_publish(plain(number), scene.settings["EXCHANGE"], "depot.write.row")
        # It tries ten times a second, and says so less and less often.
        wait_until(
            lambda: re.search(r"still trying after [1-9]", worker.printed()),
            timeout=PATIENCE,
            message="many tries",
        )

        returned = [channel.basic_get("write_queue") for _ in range(10)]
        assert [message.headers["x-delivery-count"] for message in returned] == [1] * 10
        connection.close()  # hands them back
        assert "amqp:" not in worker.printed()
        scene.door.open_door()
        scene.wait_until_handled(12)
    assert set(scene.rows(Delivery).values_list("attempts", "crashes")) == {(1, 0)}


@pytest.mark.parametrize("away", [RABBITMQ], indirect=True)
def test_what_rabbitmq_gave_up_on_is_handled_all_the_same(
    scene: Scene, settings: Any, tmp_path: Path
) -> None:
    """It was returned too often, by deploys say: the worker puts it back, and it runs once."""
    often = {"QUEUES": {"write_queue": {"arguments": {"x-delivery-limit": 1}}}}
    settings.TASKROUTING = {**settings.TASKROUTING, **often}
    here = broker.current()
    with here.connect() as connection:
        here.declare(connection, topology.current())
    with opened(scene.broker_url) as connection:
        channel = connection.channel()
        channel.basic_publish(plain(1), scene.settings["EXCHANGE"], "depot.write.row")
        for _ in range(2):
            message = wait_until(lambda: channel.basic_get("write_queue"), timeout=PATIENCE)
            channel.basic_reject(message.delivery_tag, requeue=True)

    with scene.worker(tmp_path, **often) as worker:
        scene.wait_until_handled(1)
    assert "goes back" in worker.printed()
    assert scene.rows(Delivery).values_list("attempts", "crashes").get() == (1, 0)
    assert not scene.rows(DeadLetter).exists()


def plain(number: int) -> amqp.Message:
    """An event as another program sends it."""
    return amqp.Message(
        "{}", content_type="application/json", message_id=str(number), app_id="elsewhere"
    )
