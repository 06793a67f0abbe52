"""What do all runs say together? A table for the documentation.

``python -m benchmarks.chaos.summary [RESULTS]`` prints it in Markdown. Runs of code that was broken
on purpose are left out, and those with another ``OUTBOX_KEEP`` than the default have a row of
their own.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

#: A column, and the deeds it counts.
COLUMNS = {
    "worker processes": ("worker process killed",),
    "workers": ("worker killed",),
    "relays": ("relay killed",),
    "broker": ("broker killed",),
    "database": ("database killed",),
}
BESIDE = {
    "stopped": ("process stopped",),
    "restarted": ("worker restarted",),
    "frozen": ("broker frozen", "database frozen", "database locked"),
    "cut": ("broker cut", "database cut"),
    "flushed": ("broker flushed",),
}

RESULTS = Path(__file__).parent.parent / "results" / "chaos.jsonl"


def main(results: Path) -> str:
    """Add the runs up by installation, and say it in a table."""
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for run in map(json.loads, results.read_text().splitlines()):
        if not run["mutation"]:
            keep = f", {run['outbox_keep']}" if run["outbox_keep"] else ""
            for name in (run["broker"] + keep, *([] if keep else ["all"])):
                totals[name].update(_figures(run))
    totals["all"] = totals.pop("all", Counter())
    heads = ["", "runs", "events", "kills", *COLUMNS, "suicides", *BESIDE, "violations", "hours"]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    lines += [[name, *(_shown(figures, head) for head in heads[1:])] for name, figures in
              totals.items()]  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figures(run: dict[str, Any]) -> dict[str, float]:
    deeds = run["deeds"]
    columns = {
        name: sum(deeds.get(deed, 0) for deed in counted)
        for name, counted in {**COLUMNS, **BESIDE}.items()
    }
    return {
        "runs": 1,
        "events": run["events"],
        "kills": run["kills"],
        **columns,
        "suicides": sum(count for deed, count in deeds.items() if _suicide(deed)),
        "violations": sum(run["violations"].values()),
        "hours": (run["wall_seconds"] + run["settling_seconds"]) / 3600,
    }


def _suicide(deed: str) -> bool:
    """Publishers that killed themselves around a commit, and handlers of poison."""
    return deed == "poison" or deed.startswith("publisher killed")


def _shown(figures: Counter[str], head: str) -> str:
    return f"{figures[head]:.1f}" if head == "hours" else f"{figures[head]:,}"


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if sys.argv[1:] else RESULTS))
