"""Is a handler that runs too long stopped, wherever it blocks? On SQLite and on PostgreSQL."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import Group

from taskrouting.models import DeadLetter
from tests import processes
from tests.conformance.installation import Installation
from tests.conformance.places import EMBEDDED
from tests.limits import workers
from tests.limits.workers import (
    PATIENCE,
    begun,
    deliveries,
    lines,
    wait_for_deliveries,
    wait_until_bound,
)
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.faults,
    pytest.mark.parametrize("place", EMBEDDED, indirect=True),
]


TIMEOUT = "taskrouting.exceptions.HandlerTimeout"


@pytest.fixture
def worker(installation: Installation, tmp_path: Path) -> Iterator[processes.Worker]:
    """A worker with a thread for everybody, that is ready."""
    with workers.worker(installation, tmp_path, "--threads", "16") as worker:
        worker.wait_until_ready()
        wait_until_bound(installation)
        yield worker


def groups(installation: Installation) -> list[str]:
    """What the handlers have written."""
    return sorted(Group.objects.using(installation.alias).values_list("name", flat=True))


def replaced(worker: processes.Worker) -> bool:
    """Whether a process has asked for a fresh one."""
    return "makes room" in worker.printed()


def test_wherever_a_handler_blocks_its_attempt_is_timed_out(
    installation: Installation, worker: processes.Worker, tmp_path: Path
) -> None:
    """A loop, a read, a sleep and a query: each attempt is recorded with where it was, and counts.

    The process is replaced without a crash for anybody, its neighbours finish in it, and the next
    attempts are handled, once.
    """
    neighbour, go = tmp_path / "neighbour", tmp_path / "go"
    installation.publish("slow.neighbour", {"log": str(neighbour), "until": str(go)})
    wait_until(lambda: begun(neighbour), timeout=PATIENCE, message="the neighbour to begin")

    blocking = {
        f"{kind}.{block}": installation.publish(
            f"{kind}.{block}", {"block": block, "mark": str(tmp_path / f"{kind}.{block}")}
        )
        for kind in ("write", "call", "async")
        for block in ("spin", "read", "nap", "await" if kind == "async" else "ask")
    }
    wait_until(lambda: replaced(worker), timeout=PATIENCE, message="the process to make room")
    go.touch()

    handled = {
        row.routing_key: row for row in wait_for_deliveries(installation, 13, state="handled")
    }
    assert (handled["slow.neighbour"].attempts, handled["slow.neighbour"].crashes) == (1, 0)
    assert [word for word, *_ in lines(neighbour)] == ["begin", "end"]
    for key in blocking:
        row = handled[key]
        assert (row.attempts, row.crashes) == (len(row.errors) + 1, 0), key
        assert {error["exception"] for error in row.errors} == {TIMEOUT}, key
        if key.endswith(("read", "nap")):
            assert f", in {key.partition('.')[2]}" in row.errors[0]["traceback"]
    assert groups(installation) == sorted(event.id for event in blocking.values())
    assert "died" not in worker.printed()
    worker.signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0, worker.printed()


@pytest.mark.parametrize(("key", "state"), [("once.x", "dead"), ("late.x", "pending")])
def test_a_handler_that_returns_late_records_nothing(
    installation: Installation, worker: processes.Worker, tmp_path: Path, key: str, state: str
) -> None:
    """What it returns and writes after its attempt was recorded as timed out is lost."""
    neighbour, go = tmp_path / "neighbour", tmp_path / "go"
    log, door = tmp_path / "log", socket.create_server(("127.0.0.1", 0))
    installation.publish("slow.neighbour", {"log": str(neighbour), "until": str(go)})
    wait_until(lambda: begun(neighbour), timeout=PATIENCE, message="the neighbour to begin")
    installation.publish(key, {"log": str(log), "port": door.getsockname()[1]})
    with door:
        door.settimeout(PATIENCE)
        held, _ = door.accept()  # it waits for a byte now
    (row,) = wait_for_deliveries(installation, 1, routing_key=key, state=state)
    wait_until(lambda: replaced(worker), timeout=PATIENCE, message="the process to make room")

    held.close()
    wait_until(lambda: len(lines(log)) == 2, timeout=PATIENCE, message="the handler to return")
    go.touch()
    wait_for_deliveries(installation, 1, routing_key="slow.neighbour", state="handled")

    worker.wait_until_ready(processes=2)
    (after,) = deliveries(installation, pk=row.pk)
    assert (after.state, after.token, after.attempts) == (state, row.token, 1)
    assert (after.crashes, len(after.errors)) == (0, 1)
    assert groups(installation) == []
    letters = DeadLetter.objects.using(installation.alias)
    assert [each.reason for each in letters.all()] == ["exhausted"] * (state == "dead")


def test_of_a_batch_that_blocks_only_the_culprit_is_charged(
    installation: Installation, worker: processes.Worker, tmp_path: Path
) -> None:
    """Each message then runs alone: the culprit's attempt is timed out, the others are handled."""
    with installation.together():
        events = [
            installation.publish("bulk.item", {"block": "nap"} if number == 2 else {})
            for number in range(4)
        ]

    (culprit,) = wait_for_deliveries(installation, 1, state="dead")
    handled = wait_for_deliveries(installation, 3, state="handled")

    assert culprit.event_id == events[2].id
    assert (culprit.attempts, culprit.crashes, len(culprit.errors)) == (2, 0, 2)
    assert {error["exception"] for error in culprit.errors} == {TIMEOUT}
    assert all(", in nap" in error["traceback"] for error in culprit.errors)
    assert {row.crashes for row in handled} == {0}
    assert groups(installation) == sorted(row.event_id for row in handled)
    assert "died" not in worker.printed()
