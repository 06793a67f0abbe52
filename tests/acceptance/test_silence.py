"""Does a worker notice that it hears nothing? Then it consumes anew, or is replaced."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from taskrouting.models import DeadLetter, Delivery
from taskrouting.routing import topology
from taskrouting.transport import broker
from tests.acceptance.scenes import (
    END,
    PATIENCE,
    RABBITMQ,
    REDIS,
    Scene,
    away,
    scene,
    wait_for,
)
from tests.acceptance.test_outages import plain
from tests.acceptance.test_worker import depot
from tests.services import opened
from tests.waiting import wait_until

__all__ = ["away", "depot", "scene"]

pytestmark = [pytest.mark.usefixtures("depot"), pytest.mark.faults]


@pytest.mark.parametrize("away", [RABBITMQ, REDIS], indirect=True)
def test_a_connection_that_carries_nothing_is_noticed(scene: Scene, tmp_path: Path) -> None:
    """Half-open: no error, no end, and no message. The worker consumes anew, and hears."""
    with scene.proven_worker(tmp_path):
        scene.door.fall_silent()
        scene.publish_both()

        scene.wait_until_handled(4)
    assert set(scene.rows(Delivery).values_list("attempts", "crashes")) == {(1, 0)}


@pytest.mark.parametrize("away", [REDIS], indirect=True)
def test_a_deaf_process_is_replaced(scene: Scene, tmp_path: Path) -> None:
    """Nothing arrives, however often it consumes anew: it says so and exits, and another comes."""
    with scene.proven_worker(tmp_path) as worker:
        scene.door.swallow(b"BRPOP")
        scene.publish_both()
        wait_for(worker, "replacing it", 0)
        scene.door.swallow(b"")

        scene.wait_until_handled(4)
        said = worker.printed()
    assert re.search(r"queue '(\w+)' has \d+ messages ready, and nothing has arrived here", said)
    assert re.search(r"Queue '\w+' was consumed anew 3 times", said)
    assert "died (exit code 1)" in said


@pytest.mark.parametrize("away", [RABBITMQ], indirect=True)
def test_a_queue_deleted_under_a_worker_is_there_again(scene: Scene, tmp_path: Path) -> None:
    """RabbitMQ cancels its consumers: the worker declares and consumes anew."""
    with scene.proven_worker(tmp_path) as worker, opened(scene.broker_url) as connection:
        ends = worker.printed().count(END)

        connection.channel().queue_delete("write_queue")
        wait_for(worker, END, ends)
        scene.publish_both()

        scene.wait_until_handled(4)


@pytest.mark.parametrize("away", [RABBITMQ], indirect=True)
def test_a_queue_deleted_and_made_anew_is_consumed_anew(scene: Scene, tmp_path: Path) -> None:
    """Made anew at once, without its bindings: RabbitMQ may tell nobody, and count us as before."""
    with scene.proven_worker(tmp_path), opened(scene.broker_url) as connection:
        channel, here, wanted = connection.channel(), broker.current(), topology.current()
        (queue,) = [each for each in wanted.queues if each.name == "write_queue"]

        channel.queue_delete(queue.name)
        here.declare_queue(channel, wanted, queue)
        channel.basic_publish(plain(1), routing_key=queue.name)

        arrived = scene.rows(DeadLetter, reason="unmatched")  # by the queue's name, not by a key
        wait_until(arrived.exists, timeout=PATIENCE, message="what was put into the new queue")
        wait_until(partial(reaches, scene), timeout=PATIENCE, message="an event")


@pytest.mark.parametrize("away", [RABBITMQ], indirect=True)
def test_a_binding_that_somebody_removes_is_made_anew(scene: Scene, tmp_path: Path) -> None:
    """Nobody tells us that it is gone: the topology is declared again and again."""
    with scene.proven_worker(tmp_path), opened(scene.broker_url) as connection:
        connection.channel().queue_unbind(
            "write_queue", scene.settings["EXCHANGE"], "depot.write.#"
        )

        wait_until(partial(reaches, scene), timeout=PATIENCE, message="an event")


def reaches(scene: Scene) -> bool:
    """Whether one of the events published so far has come by the binding that was gone."""
    scene.publish("depot.write.row")
    return bool(scene.rows(Delivery, subscription="depot.write").count() > 1)
