"""Do real processes collect their figures, and is a relay heard that runs alone?"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from django.db.models import Sum

from taskrouting import dashboard, publish
from taskrouting.models import Figure, Pulse
from tests.processes import Worker, worker
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

#: Write and look more often than a process does otherwise.
HURRY = {"taskrouting.instruments.figures.PAUSE": 0.1, "taskrouting.instruments.figures.LOOK": 0.1}


def counted(measure: str, queue: str) -> int:
    """How many that is, over all minutes."""
    rows = Figure.objects.filter(span=60, measure=measure, queue=queue)
    return rows.aggregate(Sum("count"))["count__sum"] or 0


def test_a_worker_leaves_its_figures_behind(tmp_path: Path) -> None:
    """However short it ran, what it handled and how long that took is in the table."""
    for number in range(3):
        publish("video.upload", {"n": number})
    with worker(tmp_path, "--burst") as running:
        assert running.wait() == 0

    assert counted("handled", "audit_queue") == 3
    assert counted("latency", "audit_queue") == 3


def test_a_relay_that_runs_alone_is_heard(tmp_path: Path) -> None:
    """And it counts what waits for workers that are not there."""
    publish("video.upload")
    hurry = {"DEPOT_HURRY": json.dumps(HURRY)}
    relay = Worker(tmp_path / "relay.log", command="run_router_relay", variables=hurry)
    try:
        wait_until(lambda: counted("looks", "audit_queue"), timeout=30, message="a look")
    finally:
        relay.signal(signal.SIGTERM)
        relay.wait()

    assert Pulse.objects.get().name == "relay of 'default'"
    assert counted("backlog", "audit_queue") >= 1
    assert {each.name: each.state.value for each in dashboard.look().parts}["relay"] == "ok"
