"""When did what happen, beside what else? A waterfall of events, deliveries and their attempts.

Drawn here, as shapes on a grid of 1000 units, so that it needs no JavaScript; the same steps are
told again in a table. What went wrong has a sign, a word and a dashed edge, not only a colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext

from taskrouting.models import Delivery

from . import attempts, shown
from .attempts import Attempt
from .conversation import Node

#: Rows of one picture; the rest is counted.
MOST = 200

#: Where the bars begin and end, how high a row is, and how much is above the first.
LEFT, RIGHT, HIGH, HEAD = 312, 850, 24, 28

#: Characters of a name that fit, and the narrowest bar that can be seen.
LONGEST_NAME, NARROWEST = 40, 3

TICKS = 5

#: What is drawn of each state: the names of its classes.
FAILED, OPEN = "failed", "open"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that took time, or happened at an instant (``ended`` is ``began`` then)."""

    kind: str
    what: str
    began: datetime
    ended: datetime | None
    state: str = ""
    worker: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the picture: an event, or a delivery of the event above it."""

    name: str
    depth: int
    here: bool
    address: str
    state: str = ""
    word: str = ""
    steps: list[Step] = field(default_factory=list)


def of(nodes: Sequence[Node]) -> dict[str, Any] | None:
    """Return what the template draws; ``None`` where there is nothing to draw."""
    every = [row for node in nodes for row in _rows(node)]
    rows = every[:MOST]
    if not rows:
        return None
    now = timezone.now()
    times = [time for row in rows for step in row.steps for time in (step.began, step.ended or now)]
    begin, end = min(times), max(times)
    length = max(end - begin, timedelta(milliseconds=1))
    return {
        "rows": [_drawn(number, row, begin, length, now) for number, row in enumerate(rows)],
        "ticks": [_tick(number, length) for number in range(TICKS)],
        "height": HEAD + HIGH * len(rows) + 6,
        "left": LEFT,
        "bottom": HEAD + HIGH * len(rows),
        "begin": begin,
        "length": shown.duration(length),
        "described": _described(rows, length),
        "left_out": len(every) - len(rows),
    }


def _rows(node: Node) -> Iterator[Row]:
    event = node.event
    steps = [Step("published", gettext("published"), event.occurred_at, event.occurred_at)]
    if event.relayed_at:
        steps.append(
            Step("outbox", gettext("waited in the outbox"), event.occurred_at, event.relayed_at)
        )
    yield Row(event.routing_key, node.depth, node.here, node.address, steps=steps)
    for delivery in node.deliveries:
        steps = list(_steps(delivery, event.relayed_at or event.occurred_at))
        yield Row(
            delivery.subscription,
            node.depth + 1,
            node.here,
            node.address,
            delivery.state,
            _word(delivery, steps),
            steps,
        )


def _word(delivery: Delivery, steps: Sequence[Step]) -> str:
    """Say how it stands, and how often it failed before."""
    failed = sum(step.kind == FAILED for step in steps)
    if not failed or delivery.state == Delivery.State.DEAD:
        return str(delivery.get_state_display())
    told = {"state": delivery.get_state_display(), "failed": failed}
    return gettext("%(state)s · %(failed)d failed") % told


def _steps(delivery: Delivery, sent: datetime) -> Iterator[Step]:
    began = max(sent, delivery.received_at)
    yield Step("queued", gettext("waited in queue %s") % delivery.queue, sent, began)
    for attempt in attempts.of(delivery):
        yield _run(attempt)


def _run(attempt: Attempt) -> Step:
    kind = {Delivery.State.DEAD: FAILED, Delivery.State.RUNNING: OPEN}.get(
        Delivery.State(attempt.state), "ran"
    )
    words = {
        FAILED: gettext("attempt %d failed"),
        OPEN: gettext("attempt %d runs"),
        "ran": gettext("attempt %d ended"),
    }
    what = words[kind] % attempt.number
    return Step(
        kind, what, attempt.began, attempt.ended, attempt.state, attempt.worker, attempt.what
    )


def _drawn(
    number: int, row: Row, begin: datetime, length: timedelta, now: datetime
) -> dict[str, Any]:
    """Place one row; its thin line reaches from its first step to its last."""
    top = HEAD + number * HIGH
    bars = [_bar(step, begin, length, now) for step in row.steps]
    inset = 8 + 12 * min(row.depth, 9)
    room = LONGEST_NAME - 2 * min(row.depth, 9)
    return {
        "row": row,
        "top": top,
        "middle": top + HIGH // 2,
        "text": top + HIGH // 2 + 4,
        "bar_top": top + (HIGH - 12) // 2,
        "inset": inset,
        "name": Truncator(row.name).chars(room),
        "sign": shown.SIGNS.get(row.state, "◆"),
        "bars": bars,
        "line": min(bar["x"] for bar in bars),
        "line_end": max(bar["x"] + bar["width"] for bar in bars),
    }


def _bar(step: Step, begin: datetime, length: timedelta, now: datetime) -> dict[str, Any]:
    ended = max(step.ended or now, step.began)
    x = _place(step.began, begin, length)
    width = max(_place(ended, begin, length) - x, NARROWEST)
    took = ended - step.began
    return {
        "step": step,
        "x": min(x, RIGHT - NARROWEST),
        "width": width,
        "centre": min(x, RIGHT - NARROWEST) + width // 2,
        "after": shown.duration(step.began - begin),
        "took": shown.duration(took) if step.kind != "published" else shown.NOTHING,
        "told": f"{step.what} · {shown.duration(took)}" if took else step.what,
        "sign": {FAILED: "✕", OPEN: "▸", "ran": "✓"}.get(step.kind, ""),
    }


def _place(time: datetime, begin: datetime, length: timedelta) -> int:
    return LEFT + round((RIGHT - LEFT) * ((time - begin) / length))


def _tick(number: int, length: timedelta) -> dict[str, Any]:
    share = number / (TICKS - 1)
    at = LEFT + round((RIGHT - LEFT) * share)
    return {"x": at, "text": shown.duration(length * share) if number else "0"}


def _described(rows: Sequence[Row], length: timedelta) -> str:
    """Say in words what the picture shows."""
    failed = sum(step.kind == FAILED for row in rows for step in row.steps)
    deliveries = sum(bool(row.state) for row in rows)
    return gettext("%(events)s, %(deliveries)s and %(failed)s within %(length)s.") % {
        "events": _counted(len(rows) - deliveries, "event"),
        "deliveries": _counted(deliveries, "delivery"),
        "failed": _counted(failed, "failed"),
        "length": shown.duration(length),
    }


def _counted(count: int, what: str) -> str:
    words = {
        "event": ngettext("%d event", "%d events", count),
        "delivery": ngettext("%d delivery", "%d deliveries", count),
        "failed": ngettext("%d failed attempt", "%d failed attempts", count),
    }
    return words[what] % count
