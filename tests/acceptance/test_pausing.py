"""Does a real worker let a paused queue rest, and stop when an operator asks it to?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from taskrouting import operators, publish
from taskrouting.models import AuditLog, Delivery, Message, WorkerProcess
from tests import processes
from tests.acceptance.test_worker import depot, lines
from tests.waiting import wait_until

__all__ = ["depot"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("depot")]

#: Seconds for a worker to see what is wanted of it, on a busy machine.
PATIENCE = 20


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers look often at what is wanted of them."""
    constants = {"taskrouting.consuming.leases.LOOK_EVERY": 0.1}
    monkeypatch.setenv("DEPOT_HURRY", json.dumps(constants))


@pytest.fixture(params=["django", "rabbitmq", "redis"])
def everywhere(request: pytest.FixtureRequest, settings: Any) -> dict[str, Any]:
    """The settings of test and worker, on a broker in the database and on two outside it."""
    url = "django://"
    if request.param != "django":
        url = request.getfixturevalue(f"empty_{request.param}_url")
    settings.TASKROUTING = {"SOURCE": "tests", "BROKER_URL": url}
    return {"BROKER_URL": url}


def handled(subscription: str) -> int:
    """How many deliveries of a subscription are handled."""
    return Delivery.objects.filter(state="handled", subscription=subscription).count()


def wait_until_handled(subscription: str, count: int) -> None:
    """Wait until ``count`` deliveries of a subscription are handled."""
    wait_until(
        lambda: handled(subscription) == count,
        timeout=PATIENCE,
        message=f"{count} deliveries to {subscription}",
    )


def wait_until_said(worker: processes.Worker, words: str) -> None:
    """Wait until a worker has said something."""
    wait_until(lambda: words in worker.printed(), timeout=PATIENCE, message=words)


def test_a_paused_queue_rests_until_it_is_resumed(tmp_path, everywhere):
    """What runs is finished, its neighbours go on, nothing is lost; also for one that starts."""
    log, gate = tmp_path / "calls", tmp_path / "gate"
    with processes.worker(tmp_path, "--threads", "2", **everywhere) as worker:
        worker.wait_until_ready()
        publish("depot.call.a", {"until": str(gate), "log": str(log)})
        wait_until(lambda: "begin" in lines(log), timeout=PATIENCE, message="the handler to begin")

        operators.pause("call_queue", "the depot is full")
        wait_until_said(worker, "Queue 'call_queue' is paused")
        publish("depot.call.b", {})
        publish("depot.write.b", {})
        gate.touch()

        wait_until_handled("depot.call", 1)
        wait_until_handled("depot.write", 1)
        wait_until(lambda: AuditLog.objects.count() == 4, timeout=PATIENCE, message="the record")
        assert handled("depot.call") == 1

    with processes.worker(tmp_path, "--threads", "2", **everywhere) as worker:
        publish("depot.write.c", {})
        wait_until_handled("depot.write", 2)
        assert handled("depot.call") == 1

        operators.resume("call_queue")

        wait_until_handled("depot.call", 2)
    assert not Message.objects.filter(queue="call_queue").exists()


def test_a_burst_leaves_what_is_paused(tmp_path):
    """It ends, says what it has left, and the rest is done."""
    operators.pause("write_queue")
    publish("depot.write.a", {})
    publish("depot.call.a", {})

    with processes.worker(tmp_path, "--burst") as worker:
        assert worker.wait() == 0, worker.printed()

    assert handled("depot.call") == 1
    assert [row.queue for row in Message.objects.all()] == ["write_queue"]
    assert "Queue 'write_queue' is paused: what waits in it stays" in worker.printed()


def test_a_process_is_restarted_and_stopped_when_asked_to(tmp_path):
    """What it has begun is finished; after a restart another goes on, after a stop none does."""
    log, gate = tmp_path / "calls", tmp_path / "gate"
    with processes.worker(tmp_path, "--no-relay") as worker:
        worker.wait_until_ready()
        publish("depot.call.a", {"until": str(gate), "log": str(log)})
        wait_until(lambda: "begin" in lines(log), timeout=PATIENCE, message="the handler to begin")
        first = WorkerProcess.objects.get()

        operators.restart(first)
        wait_until_said(worker, "makes room for a fresh one")
        gate.touch()
        others = WorkerProcess.objects.exclude(pk=first.pk)
        second = wait_until(others.first, timeout=PATIENCE, message="a fresh process")
        wait_until_handled("depot.call", 1)
        assert (Delivery.objects.get().attempts, second.order) == (1, "")

        operators.stop(second)

        assert worker.wait(PATIENCE) == 0, worker.printed()
    assert not WorkerProcess.objects.exists()
    assert Path(log).read_text().count("begin") == 1


def test_a_worker_tells_how_busy_it_is(tmp_path):
    """Its row says which threads are at work, what it holds and how large it is."""
    gate = tmp_path / "gate"
    with processes.worker(tmp_path, "--threads", "3", LEASE=1.5) as worker:
        worker.wait_until_ready()
        publish("depot.call.a", {"until": str(gate)})

        def told() -> bool:
            row = WorkerProcess.objects.filter(busy=1, in_hand=1).first()
            return row is not None and row.memory > 10_000_000

        wait_until(told, timeout=PATIENCE, message="the worker to tell")
        gate.touch()
