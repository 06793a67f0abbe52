"""Which cases are there? Each in a module of its own; the most important first."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from benchmarks.bench.model import Case

NAMES = ("audit", "handler", "noop", "publish", "embedded", "relay", "memory", "latency",
         "sqlite", "scaling", "growth")  # fmt: skip


def chosen(names: Sequence[str]) -> list[Case]:
    """Return the cases with these names, or all. Raises SystemExit for one that is not there."""
    if unknown := set(names) - set(NAMES):
        raise SystemExit(
            f"No such case: {', '.join(sorted(unknown))}. There are {', '.join(NAMES)}."
        )
    return [import_module(f"{__name__}.{name}").CASE for name in NAMES if name in (names or NAMES)]
