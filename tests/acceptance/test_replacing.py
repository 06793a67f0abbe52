"""Is a process replaced between handlers, with nothing lost, doubled or charged to anybody?"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.conformance.installation import Installation
from tests.conformance.places import POSTGRES, QUORUM, REDIS, SQLITE
from tests.limits import workers
from tests.limits.workers import PATIENCE, deliveries, lines, wait_until_bound
from tests.waiting import wait_until

pytestmark = pytest.mark.faults


def run_burst(installation: Installation, tmp_path: Path, *options: str) -> str:
    """Let a worker do everything there is to do; return what it has said."""
    with workers.worker(installation, tmp_path, "--burst", *options) as worker:
        assert worker.wait(PATIENCE) == 0, worker.printed()
        return worker.printed()


def bind(installation: Installation, tmp_path: Path) -> None:
    """Have the queues declared, by a worker that finds nothing to do."""
    if installation.broker.can.embedded:
        run_burst(installation, tmp_path)
        wait_until_bound(installation)


def rooms_made(said: str) -> int:
    """How often a process has made room for a fresh one."""
    return said.count("makes room for a fresh one")


@pytest.mark.parametrize("place", [SQLITE, POSTGRES, QUORUM, REDIS], indirect=True)
def test_processes_are_replaced_after_so_many_messages(
    installation: Installation, tmp_path: Path
) -> None:
    """``--max-events``: what was prefetched goes to the next one, and a burst still drains all."""
    bind(installation, tmp_path)
    log = tmp_path / "calls"
    with installation.together():
        for n in range(40):
            kind = "plain" if n % 2 else "slow"
            installation.publish(f"{kind}.n", {"n": n, "log": str(log)})

    said = run_burst(installation, tmp_path, "--max-events", "5", "--processes", "2")

    assert Counter(map(tuple, ([word, n] for word, n, _ in lines(log)))) == Counter(
        (word, str(n)) for word in ("begin", "end") for n in range(40)
    )
    rows = deliveries(installation)
    assert {(row.state, row.attempts, row.crashes) for row in rows} == {("handled", 1, 0)}
    assert len(rows) == 40
    assert len({pid for *_, pid in lines(log)}) >= 3
    assert rooms_made(said) >= 2
    assert "died" not in said


@pytest.mark.parametrize("place", [SQLITE], indirect=True)
def test_a_process_that_has_grown_too_large_is_replaced(
    installation: Installation, tmp_path: Path
) -> None:
    """``--max-rss``: the next handler runs in a process that is small again."""
    log = tmp_path / "calls"
    with workers.worker(installation, tmp_path, "--max-rss", "256M") as worker:
        worker.wait_until_ready()
        wait_until_bound(installation)
        for n in range(2):
            installation.publish("plain.n", {"n": n, "log": str(log), "grow": 300})
            wait_until(
                lambda n=n: rooms_made(worker.printed()) == n + 1,
                timeout=PATIENCE,
                message="the process to make room",
            )
        said = worker.printed()

    rows = deliveries(installation)
    assert [(row.state, row.attempts) for row in rows] == [("handled", 1)] * 2
    assert len({pid for *_, pid in lines(log)}) == 2
    assert min(int(size) for size in re.findall(r"it has (\d+) MiB", said)) > 300
    assert "died" not in said
    assert "A fresh process" not in said


@pytest.mark.parametrize("place", [SQLITE], indirect=True)
def test_a_limit_that_a_fresh_process_exceeds_is_told_and_stops_nothing(
    installation: Installation, tmp_path: Path
) -> None:
    """With a ``--max-rss`` far too small each process still handles a message before it goes."""
    bind(installation, tmp_path)
    installation.publish("plain.n", {})
    installation.publish("plain.n", {})

    said = run_burst(installation, tmp_path, "--max-rss", "1M", "--prefetch", "1")

    assert [row.state for row in deliveries(installation)] == ["handled"] * 2
    assert "more than --max-rss allows (1 MiB)" in said
