"""How is a run told? One table for people, one line of JSON for whoever compares runs."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from .run import Report, kills

#: Examples of each broken promise that are printed.
EXAMPLES = 5


def table(report: Report) -> str:
    """What was done, what was counted, and what is wrong."""
    books = report.books
    lines = [
        f"{report.plan.broker}, seed {report.plan.seed}: {report.wall:.0f} s of mayhem, "
        f"{report.settling:.0f} s until everything had settled",
        "",
        *_rows(
            {
                "events committed": books.events,
                "effects in the database": books.effects,
                "effects outside it": books.external,
                "  of which repeated, and explained": books.repeated,
                "poisonous events": books.poisoned,
                "kills": kills(report.deeds),
            }
        ),
        "",
        *_rows(dict(sorted(report.deeds.items()))),
        "",
        *_rows(books.violations),
        "",
        f"violations: {report.violations}",
    ]
    for promise, broken in books.found.items():
        lines += [f"  {promise}: {example}" for example in broken[:EXAMPLES]]
    return "\n".join(lines)


def append(report: Report, results: Path) -> None:
    """Add the run to the file of results."""
    results.parent.mkdir(parents=True, exist_ok=True)
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "broker": report.plan.broker,
        "seed": report.plan.seed,
        "mutation": report.plan.mutation,
        "outbox_keep": report.plan.keep,
        "events": report.books.events,
        "effects": report.books.effects,
        "external": report.books.external,
        "repeated": report.books.repeated,
        "poisoned": report.books.poisoned,
        "kills": kills(report.deeds),
        "deeds": dict(sorted(report.deeds.items())),
        "violations": report.books.violations,
        "wall_seconds": round(report.wall, 1),
        "settling_seconds": round(report.settling, 1),
        "python": platform.python_version(),
        **{name: version(name) for name in ("django", "kombu", "django-taskrouting")},
    }
    with results.open("a") as file:
        file.write(json.dumps(entry) + "\n")


def _rows(figures: dict[str, int]) -> list[str]:
    return [f"  {name:<45}{figure:>10,}" for name, figure in figures.items()]
