"""How are many lengths of time kept in little room? Counted in steps that grow by a ratio.

A step's bounds differ by a factor of √2, so a percentile that is read from the counts is off by a
fifth at most, whether it is a millisecond or an hour, and counts of any processes and minutes add
up.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

#: The upper bound of step 0 in seconds, and how often it doubles until the last: twelve days.
FIRST, DOUBLINGS = 0.001, 30

#: The upper bound of each step but the last, which has none.
BOUNDS = [FIRST * 2 ** (number / 2) for number in range(2 * DOUBLINGS + 1)]


def step_of(seconds: float) -> int:
    """Return the step that a length of time is counted in; what is negative is no time at all."""
    return bisect_right(BOUNDS, seconds)


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the seconds that ``share`` of what was counted does not exceed; ``None``: nothing."""
    wanted = share * sum(counts.values())
    below = 0
    for step in sorted(counts):
        if counts[step] and below + counts[step] >= wanted:
            return _within(step, (wanted - below) / counts[step])
        below += counts[step]
    return None


def _within(step: int, share: float) -> float:
    """Return the seconds at ``share`` of the way through ``step``."""
    if step == 0:
        return FIRST * share
    lower = BOUNDS[step - 1]
    upper = BOUNDS[min(step, len(BOUNDS) - 1)]
    return float(lower * (upper / lower) ** share)
