"""Where do figures go? Each into a line of ``benchmarks/results/bench.jsonl``, with its run."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

import psycopg

from . import place, rabbit
from .programs import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "bench.jsonl"

PACKAGES = (
    "django", "kombu", "amqp", "psycopg", "celery", "dramatiq", "procrastinate", "faststream",
    "django-tasks-db", "django-domain-events", "django-ox", "threadmill", "oban", "redis",
    "django-taskrouting",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One figure of one side in one repeat."""

    run: str
    case: str
    side: str
    repeat: int
    figure: str
    value: float
    unit: str
    versions: Mapping[str, str]
    machine: Mapping[str, object]


def append(records: Iterable[Record]) -> None:
    """Write records down."""
    RESULTS.parent.mkdir(exist_ok=True)
    with open(RESULTS, "a", encoding="utf-8") as file:
        for each in records:
            file.write(json.dumps(asdict(each)) + "\n")


def read() -> list[Record]:
    """Read all records, oldest first."""
    if not RESULTS.exists():
        return []
    lines = RESULTS.read_text(encoding="utf-8").splitlines()
    return [Record(**json.loads(line)) for line in lines if line]


def new_run() -> str:
    """Name a run: by when it began."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def versions() -> dict[str, str]:
    """What was measured, on what."""
    with psycopg.connect(place.POSTGRES) as connection:
        server = connection.info.server_version
    with rabbit.channel(place.RABBITMQ) as channel:
        broker = channel.connection.server_properties["version"]
    return {
        "python": platform.python_version(),
        "postgresql": f"{server // 10000}.{server % 10000}",
        "rabbitmq": broker if isinstance(broker, str) else broker.decode(),
        **{name: metadata.version(name) for name in PACKAGES},
    }


@cache
def machine() -> dict[str, object]:
    """How many processors, of which model, and how much memory."""
    found = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in found.splitlines()
              if line.startswith("model name")]  # fmt: skip
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {"cpus": os.cpu_count(), "model": models[0] if models else platform.machine(),
            "memory_gib": round(gib)}  # fmt: skip
