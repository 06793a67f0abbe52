"""How far is it? A bar on a terminal, and nothing where nobody looks; and how fast may it be?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from django.core.management.base import OutputWrapper

T = TypeVar("T")

WIDTH = 30


class Bar:
    """A line on a terminal that is written over while work goes on."""

    def __init__(self, out: OutputWrapper, label: str) -> None:
        self._out = out if out.isatty() else None
        self._label = label

    def show(self, done: float, count: int) -> None:
        """Say what share of the way is behind, and how many things were dealt with."""
        bar = "#" * int(WIDTH * done)
        self._write(f"\r{self._label} [{bar:-<{WIDTH}}] {done:4.0%} {count}")

    def end(self) -> None:
        """Leave the line as it is, and go to the next."""
        self._write("\n")

    def _write(self, text: str) -> None:
        if self._out is not None:
            self._out.write(text, style_func=str, ending="")
            self._out.flush()


def paced(things: Iterable[T], rate: float | None) -> Iterator[T]:
    """Yield ``things``, no more than ``rate`` of them in a second; ``None``: as fast as it goes."""
    due = time.monotonic()
    for thing in things:
        now = time.monotonic()
        time.sleep(max(due - now, 0.0))
        due = max(due, now) + (1 / rate if rate else 0.0)
        yield thing


def unhurried(things: Iterable[T], share: float) -> Iterator[T]:
    """Yield ``things``, and rest so that making and using them takes only ``share`` of the time."""
    begun = time.monotonic()
    for thing in things:
        yield thing
        time.sleep((time.monotonic() - begun) * (1 / share - 1))
        begun = time.monotonic()
