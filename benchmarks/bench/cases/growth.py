"""What becomes of it all when the tables are large, or many bindings are there?"""

from __future__ import annotations

import json

from benchmarks.bench import draining, growth, programs, rabbit, windows
from benchmarks.bench.cases.relay import BINDINGS, RELAY, WAITING
from benchmarks.bench.model import Case, Figures, Miscounted, Side, Target
from benchmarks.bench.place import Place
from benchmarks.bench.postgres import Database
from benchmarks.bench.site.sending import QUEUES
from benchmarks.bench.systems import System, ours

#: Of the many that wait, those between which time is taken.
FIRST, LAST = 10_000, 60_000

AUDIT, HANDLER = ours(queue="audit_queue"), ours()


def _with_old_rows(system: System, job: str) -> Side:
    def measure(place: Place) -> Figures:
        place.become(growth.old_rows(place))
        return draining.drain(place, system, job)

    text = f"with {growth.OLD_ROWS:,} rows in ledger and audit log"
    return Side(name=f"{job}, grown", measure=measure, settings=text)


def _empty(system: System, job: str) -> Side:
    return Side(name=f"{job}, empty", settings="with empty tables",
                measure=lambda place: draining.drain(place, system, job))  # fmt: skip


def _relay(waiting: int, first: int, last: int) -> Side:
    def measure(place: Place) -> Figures:
        place.become(growth.waiting(place, waiting))
        rabbit.clean(place.rabbitmq_url)
        env = place.our_env("audit", AUDIT={"queue": None}, QUEUES=BINDINGS)
        programs.run(programs.manage("declare_topology"), env)
        with rabbit.channel(place.rabbitmq_url) as channel:

            def depth() -> int:
                return int(channel.queue_declare(QUEUES[0], passive=True).message_count)

            with programs.running([RELAY[0]], env, place.log):
                figure = windows.between(depth, first, last)
            return _counted(place, figure, waiting, depth())

    return Side(name=f"relay, {waiting:,} waiting", measure=measure,
                settings=f"timed from {first:,} to {last:,} sent")  # fmt: skip


def _counted(place: Place, figure: float, waiting: int, arrived: int) -> Figures:
    database = Database(place.database_url)
    left = database.number(WAITING)
    database.close()
    if left + arrived != waiting:
        raise Miscounted(f"Of {waiting} events {left} wait and {arrived} have arrived.")
    return {"rate": figure}


def _routing(bindings: int) -> Side:
    def measure(place: Place) -> Figures:
        output = programs.run(programs.site("routing", str(bindings)), place.our_env("noop"))
        return dict(json.loads(output))

    return Side(name=f"routing, {bindings:,} bindings", measure=measure,
                settings="two match; in the relay's memory")  # fmt: skip


CASE = Case(
    name="growth",
    title="large tables, a long outbox, many bindings",
    units={"rate": "/s", "known": "µs", "new": "µs"},
    sides=[
        _with_old_rows(AUDIT, "audit"),
        _empty(AUDIT, "audit"),
        _with_old_rows(HANDLER, "handler"),
        _empty(HANDLER, "handler"),
        _relay(growth.MANY, FIRST, LAST),
        _relay(growth.FEW, growth.FEW // 10, growth.FEW * 9 // 10),
        _routing(1_000),
        _routing(10),
    ],
    targets=[
        Target(ours="audit, grown", peer="audit, empty", figure="rate", at_least=0.9),
        Target(ours="handler, grown", peer="handler, empty", figure="rate", at_least=0.9),
        Target(ours=f"relay, {growth.MANY:,} waiting", peer=f"relay, {growth.FEW:,} waiting",
               figure="rate", at_least=0.9),
        Target(ours="routing, 1,000 bindings", peer="routing, 10 bindings", figure="known",
               at_most=2),
        Target(ours="routing, 1,000 bindings", peer="routing, 10 bindings", figure="new",
               at_most=2),
    ],
)  # fmt: skip
