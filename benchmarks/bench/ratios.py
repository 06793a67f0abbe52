"""How do two sides compare? By the ratio of what they did in the same repeat."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from .model import Target
from .recording import Record


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median over the repeats, and the lowest and the highest."""

    median: float
    lowest: float
    highest: float
    repeats: int

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lowest:.2f} to {self.highest:.2f}, n={self.repeats})"


def compare(records: Iterable[Record], target: Target) -> Ratio | None:
    """Compare the two sides of ``target``; ``None`` unless both were measured in one repeat."""
    values = {(r.side, r.repeat): r.value for r in records if r.figure == target.figure}
    ratios = [
        ours / values[target.peer, repeat]
        for (side, repeat), ours in values.items()
        if side == target.ours and (target.peer, repeat) in values
    ]
    if not ratios:
        return None
    return Ratio(statistics.median(ratios), min(ratios), max(ratios), len(ratios))
