"""How fast do messages go through SQLite, from the first publish to the last handler?"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence

from benchmarks.bench import programs
from benchmarks.bench.model import Case, Figures, Miscounted, Side, Target
from benchmarks.bench.place import Place
from benchmarks.bench.site import tally

#: Messages per run.
OURS, KOMBUS = 20_000, 3_000

#: Seconds without any progress after which a run is given up.
PATIENCE = 30.0

HANDLED = "SELECT count(*) FROM taskrouting_delivery WHERE state = 'handled'"


def ours(place: Place) -> Figures:
    """One process publishes, one worker handles."""
    file = place.folder / "bench.sqlite3"
    env = {**place.our_env("noop", "django://"), "BENCH_DATABASE_URL": f"sqlite:///{file}"}
    programs.run(programs.manage("migrate", "--run-syncdb", "--verbosity=0"), env)
    count = int(OURS * place.plenty)
    worker = programs.manage("run_router_worker")
    figures = _through(place, env, worker, programs.site("with_sqlite", "ours", str(count)), count)
    with sqlite3.connect(file) as connection:
        (handled,) = connection.execute(HANDLED).fetchone()
    if handled != count:
        raise Miscounted(f"Of {count} events the ledger has {handled} as handled.")
    return figures


def kombus(place: Place) -> Figures:
    """One process publishes, one consumes."""
    url = f"sqla+sqlite:///{place.folder}/kombu.sqlite3"
    count = int(KOMBUS * place.plenty)
    consumer = programs.site("with_sqlite", "consume", "0")
    publisher = programs.site("with_sqlite", "publish", str(count))
    return _through(place, place.env("noop", url), consumer, publisher, count)


def _through(
    place: Place,
    env: Mapping[str, str],
    consumer: Sequence[str],
    publisher: Sequence[str],
    count: int,
) -> Figures:
    """Let both run at once; the time is that from the first publish to the last that is done."""
    tally.prepare(place.tally)
    with programs.running([consumer], env, place.log):
        time.sleep(3)  # it is ready before anything is published
        began = float(programs.run(publisher, env))
        done, at = 0, time.monotonic()
        while (now := tally.total(place.tally)) < count:
            if now > done:
                done, at = now, time.monotonic()
            elif time.monotonic() - at > PATIENCE:
                raise Miscounted(f"Of {count} only {done} are done.")
            time.sleep(0.01)
        rate = count / (time.clock_gettime(time.CLOCK_MONOTONIC) - began)
        time.sleep(0.5)
    if (found := tally.total(place.tally)) != count:
        raise Miscounted(f"{count} were published, and {found} done.")
    return {"rate": rate}


CASE = Case(
    name="sqlite",
    title="through SQLite: published one by one, and handled by one worker at the same time",
    units={"rate": "messages/s"},
    sides=[
        Side(name="ours", measure=ours, settings="`django://`, `publish()` in autocommit, "
             "`run_router_worker`, a handler that does nothing, with the ledger; WAL, "
             "`synchronous = NORMAL`"),
        Side(name="kombu sqlalchemy", measure=kombus, settings="`SimpleQueue` over "
             "`sqla+sqlite://`, polling every 10 ms, acknowledged and nothing else; WAL, "
             "`synchronous = NORMAL`"),
    ],
    targets=[Target(ours="ours", peer="kombu sqlalchemy", figure="rate", at_least=10)],
)  # fmt: skip
