"""What if RabbitMQ has a queue of ours with other arguments? One sentence, and no more tries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from taskrouting.routing import topology
from taskrouting.transport import broker
from tests.acceptance.scenes import RABBITMQ, Scene, away, scene
from tests.acceptance.test_worker import depot
from tests.processes import Worker
from tests.services import opened
from tests.waiting import wait_until

__all__ = ["away", "depot", "scene"]

pytestmark = [
    pytest.mark.usefixtures("depot"),
    pytest.mark.parametrize("away", [RABBITMQ], indirect=True),
]

#: What the code says differently from what the broker has.
CHANGED: dict[str, Any] = {"QUEUES": {"write_queue": {"arguments": {"x-max-length": 5}}}}


def declare(scene: Scene) -> None:
    """Declare the topology as the settings of this process have it."""
    here = broker.current()
    with here.connect() as connection:
        here.declare(connection, topology.current())


def sentence(text: str) -> str:
    """The one line that says what is wrong."""
    (line,) = re.findall(r"^.*with other arguments.*$", text, flags=re.MULTILINE)
    return str(line)


@pytest.mark.parametrize("command", ["run_router_worker", "run_router_relay", "declare_topology"])
def test_changed_arguments_are_one_sentence(scene: Scene, tmp_path: Path, command: str) -> None:
    """It names queue, argument and the way out, once; then the command ends."""
    declare(scene)
    started = Worker(tmp_path / "log", command=command, **{**scene.settings, **CHANGED})

    code = started.wait(60)

    assert code == 1
    said = sentence(started.printed())
    assert "Queue 'write_queue'" in said
    assert "'x-max-length'" in said
    assert "TASKROUTING" in said and "['QUEUES']['write_queue'] back" in said
    assert "Traceback" not in started.printed()


def test_arguments_that_change_under_a_worker_end_it_with_that_sentence(
    scene: Scene, tmp_path: Path
) -> None:
    """Somebody makes the queue anew, and otherwise: the worker says so instead of being silent."""
    with scene.proven_worker(tmp_path) as worker, opened(scene.broker_url) as connection:
        channel = connection.channel()
        channel.queue_delete("write_queue")
        channel.queue_declare("write_queue", durable=True, auto_delete=False)
        wait_until(worker.ended, timeout=60, message="the worker to end")

    assert worker.wait() == 1
    assert "Queue 'write_queue'" in sentence(worker.printed())
