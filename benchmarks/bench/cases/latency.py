"""How long after the commit does a handler begin, at a hundred events a second?"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping

from benchmarks.bench import programs, rabbit
from benchmarks.bench.model import Case, Figures, Miscounted, Side, Target
from benchmarks.bench.place import Place
from benchmarks.bench.site import tally
from benchmarks.bench.site.pacing import PER_SECOND
from benchmarks.bench.systems import CELERY, PROCRASTINATE, System, ours, ours_embedded

#: Seconds of publishing, and of those at first that do not count.
SECONDS, WARM = 8, 1

#: Seconds until a worker is ready; until what was published has arrived.
START, LATE = 60.0, 20.0


def side(name: str, system: System) -> Side:
    """The side that measures the time from commit to handler."""
    return Side(name=name, settings=system.settings, measure=lambda place: measure(place, system))


def measure(place: Place, system: System) -> Figures:
    """Start the workers, publish, and compare the two clocks' readings, which are of one clock."""
    env = system.env(place, "latency")
    tally.prepare(place.tally)
    place.stamps.touch()
    if system.queue:
        rabbit.clean(place.rabbitmq_url)
    with programs.running(system.workers, env, place.log):
        programs.run(programs.site("enqueue", system.door, "1"), env)
        _await(place, 1, START)
        published = programs.run(programs.site("pacing", system.door, str(SECONDS)), env)
        committed = {int(number): at for number, at in json.loads(published).items()}
        _await(place, len(committed) + 1, LATE)
        time.sleep(0.5)
        began = _stamps(place)
    if len(began) != len(committed) + 1:
        raise Miscounted(f"{len(committed) + 1} were published, {len(began)} handlers began.")
    return _percentiles(committed, dict(began))


def _percentiles(committed: Mapping[int, float], began: Mapping[int, float]) -> Figures:
    counted = sorted(committed)[WARM * PER_SECOND :]
    waits = [1000 * (began[number] - committed[number]) for number in counted]
    hundredths = statistics.quantiles(waits, n=100)
    return {"p50": hundredths[49], "p99": hundredths[98]}


def _stamps(place: Place) -> list[tuple[int, float]]:
    lines = [line.split() for line in place.stamps.read_text().splitlines()]
    return [(int(number), float(at)) for number, at in lines]


def _await(place: Place, count: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    while len(_stamps(place)) < count:
        if time.monotonic() > deadline:
            raise Miscounted(f"Of {count} handlers {len(_stamps(place))} began.")
        time.sleep(0.1)


CASE = Case(
    name="latency",
    title="from the commit to the handler's start, at 100 events a second",
    units={"p50": "ms", "p99": "ms"},
    sides=[
        side("ours, RabbitMQ", ours()),
        side("celery", CELERY),
        side("ours, django://", ours_embedded()),
        side("procrastinate", PROCRASTINATE),
    ],
    targets=[
        Target(ours="ours, RabbitMQ", peer="celery", figure="p50", at_most=1.3),
        Target(ours="ours, RabbitMQ", peer="celery", figure="p99", at_most=1.3),
        Target(ours="ours, django://", peer="procrastinate", figure="p50", at_most=0.8),
        Target(ours="ours, django://", peer="procrastinate", figure="p99", at_most=0.8),
    ],
)
