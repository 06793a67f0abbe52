"""Does one poison message take its neighbours along? Not one, on any broker."""

from __future__ import annotations

import signal

import pytest

from taskrouting.models import DeadLetter
from tests.conformance.places import POSTGRES, QUORUM, REDIS, SQLITE
from tests.faults.handlers import CALL, WRITE
from tests.faults.plant import PATIENCE, Plant
from tests.waiting import wait_until

pytestmark = pytest.mark.faults

BROKERS = (SQLITE, POSTGRES, QUORUM, REDIS)


@pytest.mark.parametrize("place", BROKERS, indirect=True)
def test_poison_among_fifty_good_ones_dies_alone(plant: Plant) -> None:
    """Each good one is handled once and charged nothing; the poison is dead after MAX_CRASHES.

    The process dies once for the poison's first run, when nobody can tell whose fault it is, and
    once for each crash; each time it holds good ones, and runs some.
    """
    plant.installation.configure(LEASE=1, MAX_CRASHES=2)
    (poison,) = plant.publish([(WRITE, {"poison": True, "seconds": 0.2})])
    good = plant.publish([(WRITE, {"seconds": 0.02})] * 50)

    with plant.worker("worker", "--prefetch", "51") as worker:
        plant.wait_for_outcomes(51)
        deaths = worker.printed().count("died (exit code -9)")

    handled = plant.deliveries(state="handled").values_list("attempts", "crashes")
    assert list(handled) == [(1, 0)] * 50
    assert plant.deliveries(state="handled", suspect=True).exists(), "none was in its hands"
    assert sorted(plant.effects()) == sorted(event.id for event in good)
    row = plant.deliveries(event_id=poison.id).get()
    assert (row.state, row.attempts, row.crashes) == ("dead", 0, 2)
    letter = DeadLetter.objects.using(plant.alias).get()
    assert (letter.event_id, letter.reason) == (poison.id, "crashed")
    assert deaths == 3


@pytest.mark.parametrize("place", [SQLITE], indirect=True)
@pytest.mark.parametrize("told", [True, False], ids=["told to stop", "killed outright"])
def test_a_suspect_killed_in_a_deploy_is_charged_only_without_warning(
    plant: Plant, told: bool
) -> None:
    """SIGTERM, some patience, SIGKILL: no crash. SIGKILL alone looks like the handler's doing."""
    plant.installation.configure(LEASE=1)
    release = plant.folder / "release"
    orders = {"kill_once": str(plant.folder / "dead"), "until": str(release), "log": str(plant.log)}
    with plant.worker("first") as first:
        plant.publish([(CALL, orders)])
        plant.wait_for_line("begin")
        row = plant.deliveries().get()
        assert (row.state, row.suspect, row.crashes) == ("running", True, 0)
        if told:
            first.signal(signal.SIGTERM)
            wait_until(
                lambda: plant.deliveries(state="pending").exists(),
                timeout=PATIENCE,
                message="the worker to excuse what it runs",
            )
        first.signal_group(signal.SIGKILL)
        first.wait()
    release.touch()
    with plant.worker("second"):
        plant.wait_for_outcomes(1)

    row = plant.deliveries().get()
    assert (row.state, row.attempts, row.crashes) == ("handled", 1, 0 if told else 1)
