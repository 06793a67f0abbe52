"""What do thirty deploys and thirty outages cost? Time; no attempt, no crash, no message."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from taskrouting.models import DeadLetter
from tests.conformance.places import POSTGRES, QUORUM, REDIS, SQLITE
from tests.faults.handlers import CALL, WRITE
from tests.faults.plant import PATIENCE, Plant
from tests.waiting import wait_until

pytestmark = pytest.mark.faults

ROUNDS = 30

#: Seconds in which a busy machine renews it: an external effect comes twice where that fails.
LEASE = 3


@contextmanager
def deployer(plant: Plant, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run the deployer for a block; the last worker is stopped at its end."""
    process = plant.deployer("--grace", "20", "--prefetch", "50", env=env)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("place", [SQLITE, POSTGRES, QUORUM, REDIS], indirect=True)
def test_deploys_and_outages_under_load_cost_nothing(plant: Plant) -> None:
    """Restarted and cut off thirty times in the middle of its work: every worker exits with 0,
    every event is handled exactly once, and nothing is charged.

    In every third round the worker has time to recover from the outage, in the others it is
    stopped in its middle. The broker of ``django://`` on SQLite is a file: no connection to cut.
    """
    plant.installation.configure(LEASE=LEASE)
    load = [(WRITE, {"seconds": 0.01})] * 10 + [(CALL, {"log": str(plant.log)})] * 2
    events = []
    cuttable = plant.installation.name != SQLITE
    with (
        plant.door() if cuttable else nullcontext((None, {})) as (door, env),
        deployer(plant, env) as releases,
    ):
        for number in range(ROUNDS):
            wait_for_start(plant, number + 1)
            before = plant.deliveries(state="handled").count()
            events += plant.publish(load)
            if door is not None:
                door.close_door()
                door.open_door()
            if number % 3 == 0:
                wait_until(
                    lambda before=before: plant.deliveries(state="handled").count() > before,
                    timeout=PATIENCE,
                    message=f"the worker to go on; see {plant.folder}",
                )
            assert releases.stdin and releases.stdout
            releases.stdin.write("deploy\n")
            releases.stdin.flush()
            assert releases.stdout.readline() == "exit 0\n"
        plant.wait_for_outcomes(len(events))

    assert outcomes(plant) == {("handled", 1, 0): len(events)}
    written = [event.id for event in events if event.type == WRITE]
    assert sorted(plant.effects()) == sorted(written)
    called = [event.id for event in events if event.type == CALL]
    assert sorted(line[0] for line in plant.lines("end")) == sorted(called)
    assert not DeadLetter.objects.using(plant.alias).exists()


def wait_for_start(plant: Plant, count: int) -> None:
    """Wait until so many workers have started, so that a signal finds them listening."""
    log = plant.folder / "deployer.log"
    wait_until(
        lambda: log.read_text().count(" consumes ") >= count,
        timeout=PATIENCE,
        message=f"release {count} in {log}",
    )


def outcomes(plant: Plant) -> dict[Any, int]:
    """How many deliveries have which state, attempts and crashes."""
    found: dict[Any, int] = {}
    for row in plant.deliveries().values_list("state", "attempts", "crashes"):
        found[row] = found.get(row, 0) + 1
    return found
