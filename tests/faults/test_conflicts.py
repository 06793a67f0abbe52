"""Whose failure is a conflict between two transactions? Nobody's: it is tried again, uncounted."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from taskrouting.models import DeadLetter
from tests.conformance.places import POSTGRES
from tests.faults.handlers import TALLY, WRITE
from tests.faults.plant import Plant

pytestmark = [pytest.mark.faults, pytest.mark.parametrize("place", [POSTGRES], indirect=True)]


def test_a_deadlock_of_two_handlers_is_no_attempt(plant: Plant) -> None:
    """PostgreSQL ends one of the two; that one runs again, and both are handled at once."""
    Group.objects.using(plant.alias).create(name="one")
    Group.objects.using(plant.alias).create(name="two")
    marks = [str(plant.folder / name) for name in ("first", "second")]
    log = str(plant.log)
    plant.publish(
        [
            (WRITE, {"log": log, "locks": ["one", "two"], "met": marks[0], "meets": marks[1]}),
            (WRITE, {"log": log, "locks": ["two", "one"], "met": marks[1], "meets": marks[0]}),
        ]
    )

    with plant.worker("worker", "--threads", "2") as worker:
        plant.wait_for_outcomes(2)

    assert len(plant.lines("begin")) == 3
    assert_uncounted(plant, 2, worker.printed())


@pytest.mark.parametrize("kind", [WRITE, TALLY])
def test_conflict_upon_conflict_is_put_off_and_no_attempt(plant: Plant, kind: str) -> None:
    """One that meets a conflict at every try is put off by itself: neighbours do not wait for it,
    the broker's connection stays, and no attempt is counted, however long it lasts.

    Three attempts would be its death.
    """
    log = str(plant.log)
    orders = [{"log": log, "conflicts": 16 if number == 4 else 0} for number in range(8)]
    plant.publish([(kind, each) for each in orders])

    with plant.worker("worker") as worker:
        plant.wait_for_outcomes(8)

    assert len(plant.effects()) == 8
    assert_uncounted(plant, 8, worker.printed())


def assert_uncounted(plant: Plant, count: int, printed: str) -> None:
    """Everything was handled at the first attempt that counts, on one connection to the broker."""
    rows = plant.deliveries().values_list("state", "attempts", "crashes", "errors")
    assert list(rows) == [("handled", 1, 0, [])] * count
    assert not DeadLetter.objects.using(plant.alias).exists()
    assert "trying again" not in printed
