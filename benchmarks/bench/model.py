"""What is a case? Sides that are measured in turns, and targets that compare two of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .place import Place

#: What one measurement found: named figures, such as ``{"p50": 1.2, "p99": 3.4}``.
Figures = Mapping[str, float]


class Miscounted(Exception):
    """What arrived is not what was sent, or the queue ran dry: the run does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of those who are measured."""

    name: str
    measure: Callable[[Place], Figures]

    #: How it was set up, for the report.
    settings: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a figure of ours, divided by the same figure of a peer, must reach."""

    ours: str
    peer: str
    figure: str
    at_least: float | None = None
    at_most: float | None = None

    def reached(self, ratio: float) -> bool | None:
        """Say whether ``ratio`` is enough; ``None`` where nothing is asked for."""
        if self.at_least is not None:
            return ratio >= self.at_least
        return None if self.at_most is None else ratio <= self.at_most

    @property
    def wanted(self) -> str:
        """The target in words of a table."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "–" if self.at_most is None else f"≤ {self.at_most:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A question, the sides that answer it, and what the answer must be."""

    name: str
    title: str

    #: Of each figure.
    units: Mapping[str, str]
    sides: Sequence[Side]
    targets: Sequence[Target] = field(default_factory=list)
