"""Does a stop cost anything? Nobody is charged, and what was handled is not handled again."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from tests import processes
from tests.conformance.installation import Installation
from tests.conformance.places import POSTGRES, QUORUM, REDIS, SQLITE
from tests.limits import workers
from tests.limits.workers import PATIENCE, deliveries, lines, wait_for_deliveries, wait_until_bound
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.faults,
    pytest.mark.parametrize("place", [SQLITE, POSTGRES, QUORUM, REDIS], indirect=True),
]

#: Events in the queues when the stop comes, and how many of them are handled by then.
LOAD, HANDLED = 200, 5


def ready(installation: Installation, worker: processes.Worker) -> None:
    """Wait until what is published reaches the worker."""
    worker.wait_until_ready()
    wait_until_bound(installation)


def publish_slowly(installation: Installation, log: Path, until: Path, *kinds: str) -> None:
    """Publish one event of each kind, and see its handler begin and wait."""
    for count, kind in enumerate(kinds, 1):
        installation.publish(f"{kind}.n", {"n": kind, "log": str(log), "until": str(until)})
        wait_until(
            lambda count=count: len(lines(log)) == count,
            timeout=PATIENCE,
            message=f"the handler of {kind} to begin",
        )


def finish(installation: Installation, folder: Path, count: int) -> str:
    """Let another worker do the rest; return what it has said."""
    folder.mkdir()
    with workers.worker(installation, folder) as worker:
        wait_for_deliveries(installation, count, state="handled")
        worker.signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0, worker.printed()
        return worker.printed()


def test_a_stop_under_load_costs_nothing(installation: Installation, tmp_path: Path) -> None:
    """SIGTERM with queues full: every handler runs once, and none of their messages comes again."""
    log = tmp_path / "calls"
    with workers.worker(installation, tmp_path, "--processes", "2") as worker:
        ready(installation, worker)
        with installation.together():
            for n in range(LOAD):
                kind = "plain" if n % 2 else "slow"
                installation.publish(f"{kind}.n", {"n": n, "log": str(log), "seconds": 0.06})
        wait_until(
            lambda: len(lines(log)) > 2 * HANDLED, timeout=PATIENCE, message="the load to be felt"
        )
        worker.signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0, worker.printed()
        said = worker.printed()
    done = len(lines(log)) // 2

    said += finish(installation, tmp_path / "next", LOAD)

    assert done < LOAD, "the stop came too late to show anything"
    assert Counter(map(tuple, ([word, n] for word, n, _ in lines(log)))) == Counter(
        (word, str(n)) for word in ("begin", "end") for n in range(LOAD)
    )
    assert {(row.attempts, row.crashes) for row in deliveries(installation)} == {(1, 0)}
    assert " duplicate in " not in said
    assert " lost in " not in said


def test_a_stop_past_the_grace_charges_nobody(installation: Installation, tmp_path: Path) -> None:
    """Handlers of both kinds are cut off: exit 0, and the next worker runs them at once, as new."""
    installation.configure(LEASE=3600)
    log, until = tmp_path / "calls", tmp_path / "until"
    with workers.worker(installation, tmp_path, "--grace", "0.5") as worker:
        ready(installation, worker)
        publish_slowly(installation, log, until, "slow", "plain")
        worker.signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0, worker.printed()
    assert [(row.state, row.subscription) for row in deliveries(installation)] == [
        ("pending", "slow")
    ]

    until.touch()
    finish(installation, tmp_path / "next", 2)

    rows = deliveries(installation)
    assert {(row.attempts, row.crashes, len(row.errors)) for row in rows} == {(1, 0, 0)}
    assert Counter((word, n) for word, n, _ in lines(log)) == {
        ("begin", "slow"): 2,
        ("end", "slow"): 1,
        ("begin", "plain"): 2,
        ("end", "plain"): 1,
    }


def test_a_kill_after_the_stop_is_no_crash(installation: Installation, tmp_path: Path) -> None:
    """As Kubernetes does: SIGTERM, some patience, SIGKILL. What was cut off had been excused."""
    installation.configure(LEASE=2)
    log, until = tmp_path / "calls", tmp_path / "until"
    with workers.worker(installation, tmp_path, "--grace", "600") as worker:
        ready(installation, worker)
        publish_slowly(installation, log, until, "slow")
        worker.signal(signal.SIGTERM)
        wait_for_deliveries(installation, 1, state="pending")
        worker.signal_group(signal.SIGKILL)
        worker.wait(PATIENCE)

    until.touch()
    finish(installation, tmp_path / "next", 1)

    (row,) = deliveries(installation)
    assert (row.attempts, row.crashes, len(row.errors)) == (1, 0, 0)
    assert [word for word, *_ in lines(log)] == ["begin", "begin", "end"]
