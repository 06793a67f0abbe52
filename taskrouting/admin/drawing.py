"""How is a chart drawn? As SVG that needs no JavaScript, with every number in a table beside it.

The picture holds lines only and is stretched to the room there is; words and numbers stand around
it as text, so that they stay readable on a phone. Lines differ by their dashes, and not by their
colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import floor, log10

from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from taskrouting.dashboard import Chart, Dashboard, Series

from . import shown

#: Units of which there is no half: averages of them are drawn, but the edge is a whole number.
COUNTED = {"messages"}

#: The picture's own units; it is stretched to any size.
WIDTH, HEIGHT = 600.0, 100.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a picture, and what its legend says."""

    name: str
    label: str
    path: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A column of the picture that tells its numbers to whoever points at it."""

    x: str
    width: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A chart with everything that a template needs."""

    name: str
    title: str
    unit: str
    summary: str
    why_empty: str
    top: str
    begins: str
    ends: str
    lines: Sequence[Line]
    spots: Sequence[Spot]
    heads: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]


def drawings(seen: Dashboard) -> list[Drawing]:
    """Draw every chart of the dashboard."""
    times = [_time(piece.since) for piece in seen.pieces]
    return [_drawing(chart, times) for chart in seen.charts]


def rate(value: float | None) -> str:
    """Say how many there are in a second; few are told in a minute, or in an hour."""
    if value is None:
        return shown.NOTHING
    if 0 < value < 0.1 / 60:
        return _("%s/h") % _number(value * 3600)
    if 0 < value < 0.1:
        return _("%s/min") % _number(value * 60)
    return _("%s/s") % _number(value)


def share(value: float | None) -> str:
    """Say a share in per cent; what is not quite none is not called none."""
    if value is None:
        return shown.NOTHING
    if 0 < value < 0.001:
        return _("< 0.1 %")
    return _("%s %%") % number_format(value * 100, 1)


def _drawing(chart: Chart, times: Sequence[str]) -> Drawing:
    said, unit = WORDS[chart.unit]
    known = [value for series in chart.series for value in series.values if value is not None]
    top = _round_up(max(known, default=0.0), whole=chart.unit in COUNTED)
    texts = [[said(value) for value in series.values] for series in chart.series]
    labels = [series.label for series in chart.series]
    return Drawing(
        name=chart.name,
        title=chart.title,
        unit=unit(),
        summary=_summary(chart, said),
        why_empty=chart.why_empty,
        top=said(top),
        begins=times[0],
        ends=times[-1],
        lines=[
            Line(name=each.name, label=each.label, path=_path(each, top), last=said(each.last))
            for each in chart.series
        ],
        spots=_spots(times, labels, texts),
        heads=labels,
        rows=list(zip(times, zip(*texts, strict=True), strict=True))[::-1],
    )


def _path(series: Series, top: float) -> str:
    """Draw a line through what is known; a value that stands alone becomes a short one."""
    values = [None, *series.values, None]
    parts, pen = [], "M"
    for number, (before, value, after) in enumerate(
        zip(values, values[1:], values[2:], strict=False)
    ):
        if value is None:
            pen = "M"
            continue
        x, y = _x(number, len(series.values)), HEIGHT * (1 - value / top)
        if before is None and after is None:
            width = WIDTH / len(series.values) / 2
            parts.append(f"M{x - width / 2:.1f} {y:.1f}h{width:.1f}")
        else:
            parts.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return "".join(parts)


def _x(number: int, count: int) -> float:
    return WIDTH * (number + 0.5) / count


def _spots(
    times: Sequence[str], labels: Sequence[str], texts: Sequence[Sequence[str]]
) -> list[Spot]:
    width = WIDTH / len(times)
    told = [
        ", ".join(f"{label} {text[number]}" for label, text in zip(labels, texts, strict=True))
        for number in range(len(times))
    ]
    return [
        Spot(x=f"{width * number:.1f}", width=f"{width:.1f}", text=f"{time}: {text}")
        for number, (time, text) in enumerate(zip(times, told, strict=True))
    ]


def _summary(chart: Chart, said: Callable[[float | None], str]) -> str:
    """Say in a sentence what the lines show, for those who do not see them."""
    parts = []
    for series in chart.series:
        known = [value for value in series.values if value is not None]
        if known:
            values = {"label": series.label, "least": said(min(known)), "most": said(max(known)),
                      "last": said(series.last)}  # fmt: skip
            parts.append(_("%(label)s: %(least)s to %(most)s, now %(last)s") % values)
    return "; ".join(parts)


def _round_up(value: float, *, whole: bool) -> float:
    """Return the next number, or ``whole`` number, that reads well, for the upper edge."""
    if value <= (1.0 if whole else 0.0):
        return 1.0
    power = 10.0 ** floor(log10(value))
    edges = [each * power for each in (1, 2, 2.5, 5, 10)]
    return next(
        edge for edge in edges if value <= edge * 1.0001 and (edge == round(edge) or not whole)
    )


def _time(since: datetime) -> str:
    local = timezone.localtime(since) if timezone.is_aware(since) else since
    return local.strftime("%H:%M")


def _messages(value: float | None) -> str:
    return shown.NOTHING if value is None else _number(value)


def _number(value: float) -> str:
    """Write a number with as many digits as one reads."""
    places = 0 if value >= 100 or value == round(value) else 1 if value >= 10 else 2
    return number_format(round(value, places), places, force_grouping=True)


#: How the values of a unit are said, and how the unit itself.
WORDS: dict[str, tuple[Callable[[float | None], str], Callable[[], str]]] = {
    "per second": (rate, lambda: _("events per second")),
    "seconds": (shown.duration, lambda: _("from the event until it was handled")),
    "messages": (_messages, lambda: _("messages that wait, on average")),
}
