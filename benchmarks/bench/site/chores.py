"""What is a handler to do? The environment names one job, and every side does the same."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.utils import timezone

from .payload import time_ordered_id
from .tally import Tally

Job = Callable[[Mapping[str, Any]], None]


def current() -> Job:
    """Return the job that ``BENCH_JOB`` names."""
    return {"noop": noop, "handler": create_row, "audit": create_entry, "latency": stamp}[
        os.environ["BENCH_JOB"]
    ]


_tally = Tally(os.environ.get("BENCH_TALLY", ""))


def noop(payload: Mapping[str, Any]) -> None:
    """Count, and nothing else."""
    _tally.add()


def create_row(payload: Mapping[str, Any]) -> None:
    """Create one row with Django's ORM."""
    from .models import Row

    Row.objects.create(key="bench.row", payload=payload, headers={"source": "bench"})


def create_entry(payload: Mapping[str, Any]) -> None:
    """Create one row of the audit log with Django's ORM, as a project without us would."""
    from taskrouting.models import AuditLog

    event_id = time_ordered_id()
    AuditLog.objects.create(
        event_id=event_id, source="bench", routing_key="bench.row", correlation_id=event_id,
        data=payload, occurred_at=timezone.now(), relayed_at=timezone.now(),
    )  # fmt: skip


def stamp(payload: Mapping[str, Any]) -> None:
    """Write down when the handler began, by the clock that all processes of a machine share."""
    line = f"{payload['number']} {time.clock_gettime(time.CLOCK_MONOTONIC)}\n"
    os.write(_stamps(), line.encode())


_open: dict[int, int] = {}


def _stamps() -> int:
    pid = os.getpid()
    if pid not in _open:
        _open[pid] = os.open(os.environ["BENCH_STAMPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    return _open[pid]
