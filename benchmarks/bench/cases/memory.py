"""How much memory does a worker with two processes need that has nothing to do?"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.bench import programs, rabbit
from benchmarks.bench.model import Case, Figures, Side, Target
from benchmarks.bench.place import Place
from benchmarks.bench.site import tally
from benchmarks.bench.systems import CELERY, DRAMATIQ, System, ours

#: Seconds until a worker has settled down.
SETTLED = 8.0


def side(system: System) -> Side:
    """The side that measures an idle worker of ``system``."""

    def measure(place: Place) -> Figures:
        tally.prepare(place.tally)
        rabbit.clean(place.rabbitmq_url)
        with programs.running(system.workers, system.env(place, "handler"), place.log) as pids:
            time.sleep(SETTLED)
            return {"pss": sum(_pss(pid) for pid in programs.tree(pids)) / 1024}

    return Side(name=system.name, settings=system.settings, measure=measure)


def _pss(pid: int) -> int:
    """A process's own memory and its share of what it shares with others, in KiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise LookupError(f"The kernel does not say what process {pid} needs.")


CASE = Case(
    name="memory",
    title="memory of an idle worker with 2 processes, the proportional sizes of all added up",
    units={"pss": "MiB"},
    sides=[side(ours()), side(CELERY), side(DRAMATIQ)],
    targets=[
        Target(ours="ours", peer="celery", figure="pss", at_most=0.7),
        Target(ours="ours", peer="dramatiq", figure="pss"),
    ],
)
