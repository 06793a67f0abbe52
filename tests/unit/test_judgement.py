"""Is a worker that has ended in its own time no standstill to whoever probes?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from taskrouting.consuming.seats import Seat
from taskrouting.monitoring import judgement


@pytest.fixture
def seats() -> Iterator[list[Seat]]:
    """Two seats; on the first somebody works."""
    made = [Seat(), Seat()]
    made[0].write(report(0))
    yield made


def report(age: float, **more: Any) -> dict[str, Any]:
    """What a process reports that went round ``age`` seconds ago."""
    then = time.monotonic() - age
    return {"pid": 7, "at": then, "loops": {"worker": then}, "troubles": [], "consumes": True,
            "stopping": False, "counts": {}, **more}  # fmt: skip


def test_who_stands_still_is_neither_alive_nor_ready(seats: list[Seat]) -> None:
    """A loop that has not gone round for a minute is told, with its process."""
    seats[1].write(report(120))

    assert judgement.live(seats, 0.0).reasons == [
        "process 2 (pid 7): the worker has not gone round for 120 s"
    ]
    assert judgement.ready(seats).status == 503
    assert judgement.slowest_round(seats) < time.monotonic() - 100


def test_who_has_ended_in_its_own_time_is_missed_by_nobody(seats: list[Seat]) -> None:
    """An operator has stopped it, or its burst is over: the others are judged without it."""
    seats[1].write(report(120, ended=True, stopping=True))

    assert judgement.live(seats, 0.0).status == 200
    assert judgement.ready(seats).status == 200
    assert judgement.slowest_round(seats) > time.monotonic() - 100
