"""How does a test run chaos? As anybody does, in a process of its own; and it reads the result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.chaos import servers
from benchmarks.chaos.installation import BROKERS
from tests.processes import ROOT
from tests.services import unavailable

#: Seconds until a run has surely ended: most of them are for what comes back late.
PATIENCE = 400


def run(folder: Path, broker: str, *options: str) -> dict[str, Any]:
    """Run chaos on ``broker``; return what it reports. Skips where a server is not installed."""
    for kind in BROKERS[broker]:
        if kind and (what := servers.missing(kind)):
            unavailable(kind.name, "a server of our own", what)
    results = folder / "results.jsonl"
    command = [sys.executable, "-m", "benchmarks.chaos", "--broker", broker, "--max-crashes", "3"]
    ended = subprocess.run(
        [*command, *options, "--results", str(results)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert results.exists(), ended.stdout + ended.stderr
    report: dict[str, Any] = json.loads(results.read_text())
    assert ended.returncode == any(report["violations"].values()), ended.stdout
    report["printed"] = ended.stdout
    return report
