"""What do the ratios look like? Bars on a logarithmic scale, each with the mark it had to reach.

Every bar says how many times better we are: where less is better, the ratio is turned round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT, ROW, TOP = 900, 420, 70, 26, 56

STYLE = """
    .paper { fill: #ffffff; stroke: #d0d7de; }
    .good { fill: #1a7f37; } .bad { fill: #cf222e; } .free { fill: #0969da; }
    .even { stroke: #59636e; stroke-width: 1.2; } .line { stroke: #d0d7de; }
    .mark { stroke: #1f2328; stroke-width: 2.2; } .spread { stroke: #1f2328; stroke-width: 1; }
    text { fill: #1f2328; } .quiet { fill: #59636e; font-size: 11.5px; }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117; stroke: #30363d; }
      .good { fill: #3fb950; } .bad { fill: #f85149; } .free { fill: #58a6ff; }
      .even { stroke: #9198a1; } .line { stroke: #30363d; }
      .mark, .spread { stroke: #f0f6fc; }
      text { fill: #f0f6fc; } .quiet { fill: #9198a1; }
    }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One ratio: how many times better, between which extremes, and what was wanted."""

    label: str
    value: float
    lowest: float
    highest: float
    wanted: float | None

    @property
    def kind(self) -> str:
        """Reached, missed, or not asked for."""
        if self.wanted is None:
            return "free"
        return "good" if self.value >= self.wanted else "bad"


def draw(title: str, bars: Sequence[Bar]) -> str:
    """Return the picture as SVG."""
    numbers = [n for bar in bars for n in (bar.lowest, bar.highest, bar.wanted or 1.0) if n > 0]
    low = 10 ** math.floor(math.log10(min([*numbers, 0.9])))
    high = 10 ** math.ceil(math.log10(max([*numbers, 1.1])))
    height = TOP + ROW * len(bars) + 24
    scale = _Scale(low, high)
    description = "; ".join(f"{bar.label}: {bar.value:.2f} times" for bar in bars)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="title desc" '
        "font-family=\"system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif\" "
        'font-size="13">',
        f'  <title id="title">{escape(title)}</title>',
        f'  <desc id="desc">{escape(description)}</desc>',
        f"  <style>{STYLE}  </style>",
        f'  <rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'  <text x="16" y="24" font-weight="600">{escape(title)}</text>',
        *scale.lines(height),
        *(line for number, bar in enumerate(bars) for line in _bar(bar, TOP + ROW * number, scale)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where a ratio stands."""

    low: float
    high: float

    def x(self, ratio: float) -> float:
        share = math.log(max(ratio, self.low) / self.low) / math.log(self.high / self.low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def lines(self, height: int) -> list[str]:
        """A line at every power of ten; the one at 1 is where both are equal."""
        decades = round(math.log10(self.high / self.low))
        ratios = [self.low * 10**n for n in range(decades + 1)]
        found = []
        for ratio in ratios:
            x, kind = self.x(ratio), "even" if abs(ratio - 1) < 1e-9 else "line"
            found += [
                f'  <line class="{kind}" x1="{x}" x2="{x}" y1="{TOP - 6}" y2="{height - 16}"/>',
                f'  <text class="quiet" x="{x}" y="{TOP - 11}" text-anchor="middle">'
                f"{ratio:g}×</text>",
            ]
        return found


def _bar(bar: Bar, y: int, scale: _Scale) -> list[str]:
    left, right = sorted((scale.x(1), scale.x(bar.value)))
    middle = y + 9
    lines = [
        f'  <text x="{LEFT - 12}" y="{y + 13}" text-anchor="end">{escape(bar.label)}</text>',
        f'  <rect class="{bar.kind}" x="{left}" y="{y + 2}" width="{max(right - left, 1):.1f}" '
        'height="14" rx="2"/>',
        f'  <line class="spread" x1="{scale.x(bar.lowest)}" x2="{scale.x(bar.highest)}" '
        f'y1="{middle}" y2="{middle}"/>',
        f'  <text class="quiet" x="{max(right, scale.x(bar.highest)) + 8}" y="{y + 13}">'
        f"{bar.value:.2f}×</text>",
    ]
    if bar.wanted is not None:
        x = scale.x(bar.wanted)
        lines.append(f'  <line class="mark" x1="{x}" x2="{x}" y1="{y - 1}" y2="{y + 19}"/>')
    return lines
