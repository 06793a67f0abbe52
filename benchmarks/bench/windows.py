"""How is a rate measured? In a window, while more is waiting than can be done.

The first second after the first that is done does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .model import Miscounted

#: Seconds that do not count, and that do.
WARM_UP, WINDOW = 1.0, 4.5

#: Seconds until a worker must have done something.
START = 40.0

#: Seconds that a given number may take.
LONG = 120.0


def rate(done: Callable[[], int], total: int, window: float = WINDOW) -> float:
    """How many of ``total`` are done in a second. Raises Miscounted when the queue runs dry."""
    deadline = time.monotonic() + START
    while not done():
        if time.monotonic() > deadline:
            raise Miscounted(f"Nothing was done within {START:g} s.")
        time.sleep(0.02)
    time.sleep(WARM_UP)
    before, began = done(), time.monotonic()
    time.sleep(window)
    after, ended = done(), time.monotonic()
    if after >= total:
        raise RanDry(f"All {total} were done before the window's end.")
    return (after - before) / (ended - began)


class RanDry(Miscounted):
    """There was too little to do; the same again with more would count."""


def between(done: Callable[[], int], first: int, last: int) -> float:
    """How many are done in a second, from ``first`` to ``last``."""
    deadline = time.monotonic() + LONG
    times: list[tuple[int, float]] = []
    while (found := done()) < last:
        times.append((found, time.monotonic()))
        if time.monotonic() > deadline:
            raise Miscounted(f"Only {found} were done within {LONG:g} s.")
        time.sleep(0.005)
    ended = time.monotonic()
    start, began = next((each for each in times if each[0] >= first), times[-1])
    return (found - start) / (ended - began)
