"""Who may record an outcome? Whoever holds the lease; a worker that slept through it may not."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import OperationalError, transaction

from taskrouting.models import DeadLetter
from tests.conformance.places import POSTGRES, QUORUM, REDIS, SQLITE
from tests.faults.handlers import CALL, WRITE
from tests.faults.plant import PATIENCE, Plant
from tests.waiting import wait_until

pytestmark = pytest.mark.faults

FENCED = "taken over while it ran here"


@contextmanager
def stopped(plant: Plant, pid: int) -> Iterator[None]:
    """Stop a process for a block, but not in the middle of a transaction that others wait for."""
    try:
        wait_until(lambda: _stopped_between_transactions(plant, pid), timeout=PATIENCE)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _stopped_between_transactions(plant: Plant, pid: int) -> bool:
    os.kill(pid, signal.SIGSTOP)
    try:
        with transaction.atomic(using=plant.alias):
            list(plant.waiting().select_for_update(nowait=True))
            list(plant.deliveries().select_for_update(nowait=True))
    except OperationalError:
        os.kill(pid, signal.SIGCONT)
        return False
    return True


@pytest.mark.parametrize("place", [SQLITE, POSTGRES, QUORUM, REDIS], indirect=True)
def test_a_worker_that_was_stopped_past_its_lease_records_nothing(plant: Plant) -> None:
    """Stopped, taken over, continued: its outcome is fenced, and its log says so.

    A second event, for which it has no thread, makes it hand back what comes and take nothing more:
    RabbitMQ would give the copy to the stopped worker, and miss it only after two heartbeats.
    """
    plant.installation.configure(LEASE=1)
    release = plant.folder / "release"
    with plant.worker("first", "--threads", "1") as first:
        (event,) = plant.publish([(CALL, {"log": str(plant.log), "until": str(release)})])
        ((_, pid),) = plant.wait_for_line("begin")
        plant.publish([(CALL, {"log": str(plant.log)})])
        with plant.worker("second") as second:
            plant.wait_for_line("end")
            with stopped(plant, int(pid)):
                plant.wait_for_line("begin", 3)
            release.touch()
            wait_until(lambda: FENCED in first.printed(), timeout=PATIENCE, message="a word of it")
            plant.wait_for_outcomes(2)

    row = plant.deliveries(event_id=event.id).get()
    assert (row.state, row.attempts, row.crashes, row.errors) == ("handled", 1, 0, [])
    assert f":{pid}:" not in row.worker
    assert FENCED not in second.printed()


@pytest.mark.parametrize("place", [POSTGRES], indirect=True)
def test_what_a_stopped_suspect_wrote_is_rolled_back(plant: Plant) -> None:
    """A suspect of ``effects="database"``: one of the two runs commits, and nobody is charged.

    On SQLite the stopped handler holds the one writer's place, so nobody can take it over.
    """
    plant.installation.configure(LEASE=1)
    release, mark = plant.folder / "release", plant.folder / "dead"
    orders = {"log": str(plant.log), "until": str(release), "kill_once": str(mark)}
    with plant.worker("first") as first:
        plant.publish([(WRITE, orders)])
        ((_, pid),) = plant.wait_for_line("begin")
        assert plant.deliveries().get().suspect
        with plant.worker("second") as second:
            second.wait_until_ready()
            with stopped(plant, int(pid)):
                plant.wait_for_line("begin", 2)
                assert plant.deliveries().get().crashes == 1
            release.touch()
            wait_until(lambda: FENCED in first.printed(), timeout=PATIENCE, message="a word of it")
            plant.wait_for_outcomes(1)

    row = plant.deliveries().get()
    assert (row.state, row.attempts, row.crashes) == ("handled", 1, 0)
    assert plant.effects() == [row.event_id]
    assert not DeadLetter.objects.using(plant.alias).exists()


@pytest.mark.parametrize("place", [POSTGRES], indirect=True)
def test_a_worker_without_its_database_loses_its_lease(plant: Plant) -> None:
    """It cannot renew; others take over; when the database is back its outcome is fenced."""
    plant.installation.configure(LEASE=1)
    release = plant.folder / "release"
    with plant.door() as (door, env), plant.worker("first", env=env) as first:
        plant.publish([(CALL, {"log": str(plant.log), "until": str(release)})])
        ((_, pid),) = plant.wait_for_line("begin")
        with plant.worker("second") as second:
            second.wait_until_ready()
            door.close_door()
            plant.wait_for_line("begin", 2)
            release.touch()
            plant.wait_for_outcomes(1)
            assert FENCED not in first.printed()
            door.open_door()
            wait_until(lambda: FENCED in first.printed(), timeout=PATIENCE, message="a word of it")

    row = plant.deliveries().get()
    assert (row.state, row.attempts, row.crashes, row.errors) == ("handled", 1, 0, [])
    assert f":{pid}:" not in row.worker
