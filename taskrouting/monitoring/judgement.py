"""Do the processes of a worker live, and are they ready? Judged by the reports on their seats.

*Live* asks for progress and nothing else: a loop that waits for a broker that is away goes round,
and a restart would bring nothing back. *Ready* asks whether events are being handled just now.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from taskrouting.consuming.seats import Seat

#: Seconds within which every loop goes round. While something is away, or before it has begun, a
#: loop may be waiting for a connection, which the operating system gives up after some minutes.
ROUND, ROUND_IN_TROUBLE = 60.0, 300.0

#: Seconds after which a process that reports nothing is not counted on.
SILENCE = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer to a probe: yes, or no with the reasons."""

    asked: str
    reasons: Sequence[str] = ()
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The answer as an HTTP status."""
        return 503 if self.reasons else 200

    def as_json(self) -> dict[str, Any]:
        """The answer in words."""
        return {self.asked: not self.reasons, "reasons": list(self.reasons), **self.more}


def live(seats: Sequence[Seat], since: float) -> Verdict:
    """Say whether every process goes on; ``since``: when they were first to be started."""
    reasons = [
        f"{_who(number, report)}: {fault}"
        for number, report in enumerate((seat.read() for seat in seats), start=1)
        for fault in _stalled(report, since)
    ]
    return Verdict("live", reasons, {"processes": len(seats)})


def ready(seats: Sequence[Seat]) -> Verdict:
    """Say whether every process handles events, or could if there were any."""
    reasons = [
        f"{_who(number, report)}: {fault}"
        for number, report in enumerate((seat.read() for seat in seats), start=1)
        for fault in _unready(report)
    ]
    return Verdict("ready", reasons, {"processes": len(seats)})


def slowest_round(seats: Sequence[Seat]) -> float:
    """When the loop that is furthest behind went round; 0.0 before all have begun."""
    reports = [report for report in (seat.read() for seat in seats) if not _is_over(report)]
    rounds = [min(report.get("loops", {}).values(), default=0.0) for report in reports]
    return min(rounds, default=0.0)


def _is_over(report: dict[str, Any]) -> bool:
    """Say whether the process has ended in its own time, and nobody has its seat yet."""
    return bool(report.get("ended"))


def _stalled(report: dict[str, Any], since: float) -> list[str]:
    if _is_over(report):
        return []
    now = time.monotonic()
    if not report:
        return ["has not begun"] if now - since > ROUND_IN_TROUBLE else []
    patient = report["troubles"] or not report["consumes"]
    patience = ROUND_IN_TROUBLE if patient else ROUND
    late = {name: now - last for name, last in report["loops"].items() if now - last > patience}
    return [f"the {name} has not gone round for {age:.0f} s" for name, age in late.items()]


def _unready(report: dict[str, Any]) -> list[str]:
    if _is_over(report):
        return []
    if not report:
        return ["has not begun"]
    if (silent := time.monotonic() - report["at"]) > SILENCE:
        return [f"has reported nothing for {silent:.0f} s"]
    if report["stopping"]:
        return ["is stopping"]
    if not report["consumes"] and not report["troubles"]:
        return ["does not consume yet"]
    return list(report["troubles"])


def _who(number: int, report: dict[str, Any]) -> str:
    return f"process {number} (pid {report['pid']})" if report else f"process {number}"
