"""How does the rate grow with worker processes, on one machine with broker and database?"""

from __future__ import annotations

from benchmarks.bench.draining import side
from benchmarks.bench.model import Case, Figures, Side, Target
from benchmarks.bench.place import Place
from benchmarks.bench.systems import ours

PROCESSES = (1, 2, 4)


def _side(processes: int) -> Side:
    audit = side(ours(processes, queue="audit_queue"), "audit")
    handler = side(ours(processes), "handler")

    def measure(place: Place) -> Figures:
        return {"audit": audit.measure(place)["rate"], "handler": handler.measure(place)["rate"]}

    return Side(name=f"{processes} processes", settings=handler.settings, measure=measure)


CASE = Case(
    name="scaling",
    title="one to four worker processes, to the audit log and to a handler that creates a row",
    units={"audit": "rows/s", "handler": "rows/s"},
    sides=[_side(processes) for processes in PROCESSES],
    targets=[
        Target(ours=f"{processes} processes", peer="1 processes", figure=figure)
        for figure in ("audit", "handler")
        for processes in PROCESSES[1:]
    ],
)
