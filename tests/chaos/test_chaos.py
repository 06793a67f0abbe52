"""Is nothing lost and nothing doubled when everything is killed? For a few seconds, on each broker.

``make chaos`` does it for as long as you like.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chaos.installation import BROKERS
from tests.chaos.runs import run

pytestmark = [pytest.mark.chaos, pytest.mark.faults, pytest.mark.services]


@pytest.mark.parametrize("broker", BROKERS)
def test_the_books_balance(tmp_path: Path, broker: str) -> None:
    """Every promise holds for every event, whatever was killed."""
    report = run(tmp_path, broker, "--minutes", "0.25", "--kills", "8", "--under-way", "600")

    assert report["events"] > 100
    assert report["kills"] >= 8
    assert not any(report["violations"].values()), report["printed"]
