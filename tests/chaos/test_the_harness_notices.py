"""Does a run of chaos notice when the code is broken? Once for each promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.runs import run

pytestmark = [pytest.mark.chaos, pytest.mark.faults, pytest.mark.services]

#: Seconds without progress until a run is over. What is late is not lost; what is doubled stays so.
LOST, DOUBLED = ["--quiet", "15"], ["--quiet", "5"]

#: The mutation, where and with what it shows, and the promises that it must break.
BROKEN = {
    "acknowledge_before_commit": (
        "postgres",
        [*LOST, "--deeds", "kill_process", "kill_worker"],
        {"lost audit rows", "lost effects"},
    ),
    "skip_the_fence": (
        "postgres",
        [
            *DOUBLED,
            "--minutes",
            "0.3",
            "--deeds",
            "stop_for_long",
            "--kinds",
            "work.plain",
            "work.slow",
        ],
        {"outcomes recorded twice"},
    ),
    "forget_the_unique_key": (
        "postgres",
        [*DOUBLED, "--deeds", "kill_process", "kill_worker"],
        {"doubled effects", "doubled audit rows"},
    ),
    "hand_back_through_the_exchange": (
        "rabbitmq",
        [*DOUBLED, "--deeds", "restart"],
        {"unexplained copies"},
    ),
    "forget_before_the_confirm": (
        "rabbitmq",
        # A frozen broker keeps relays in the moment in which they must be met.
        [*LOST, "--server-pace", "0.5", "--deeds", "kill_relay", "kill_worker", "pause_broker"],
        {"lost audit rows", "lost effects"},
    ),
}


@pytest.mark.parametrize("mutation", BROKEN)
def test_a_broken_promise_is_noticed(tmp_path: Path, mutation: str) -> None:
    """Code that breaks a promise makes a run fail, and the table says which promise it was."""
    broker, options, promises = BROKEN[mutation]
    pace = ["--minutes", "0.15", "--pace", "0.5", "--under-way", "500"]

    report = run(tmp_path, broker, "--mutation", mutation, *pace, *options)

    broken = {promise for promise, count in report["violations"].items() if count}
    assert broken & promises, report["printed"]


def test_peace_breaks_nothing(tmp_path: Path) -> None:
    """Where nobody is killed, no copy comes twice: what is noticed above comes of the mutation."""
    report = run(tmp_path, "rabbitmq", "--minutes", "0.15", "--pace", "0.5", "--deeds", "restart")

    assert report["events"] > 100
    assert not any(report["violations"].values()), report["printed"]
