"""Does one poison message take its neighbours along? Not one, on any broker."""

from __future__ import annotations

import pytest

from taskrouting.models import DeadLetter
from tests.conformance.places import POSTGRES, QUORUM, REDIS, SQLITE
from tests.faults.handlers import WRITE
from tests.faults.plant import Plant

pytestmark = pytest.mark.faults

BROKERS = (SQLITE, POSTGRES, QUORUM, REDIS)


@pytest.mark.parametrize("place", BROKERS, indirect=True)
def test_poison_among_fifty_good_ones_dies_alone(plant: Plant) -> None:
    """Each good one is handled once and charged nothing; the poison is dead after MAX_CRASHES.

    The good ones wait in their handlers, and behind them, until the first death: all are in the
    hands of the process that dies. It dies once for the poison's first run, when nobody can tell
    whose fault it is, and once for each crash.
    """
    plant.installation.configure(LEASE=1, MAX_CRASHES=2)
    mark = str(plant.folder / "dead")
    (poison,) = plant.publish([(WRITE, {"poison": mark, "seconds": 0.3})])
    good = plant.publish([(WRITE, {"until": mark}) for _ in range(50)])

    with plant.worker("worker", "--prefetch", "51") as worker:
        plant.wait_for_outcomes(51)
        deaths = worker.printed().count("died (exit code -9)")

    handled = plant.deliveries(state="handled").values_list("attempts", "crashes")
    assert list(handled) == [(1, 0)] * 50
    assert sorted(plant.effects()) == sorted(event.id for event in good)
    row = plant.deliveries(event_id=poison.id).get()
    assert (row.state, row.attempts, row.crashes) == ("dead", 0, 2)
    letter = DeadLetter.objects.using(plant.alias).get()
    assert (letter.event_id, letter.reason) == (poison.id, "crashed")
    assert deaths == 3
