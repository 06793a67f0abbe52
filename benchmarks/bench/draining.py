"""How fast do workers empty a queue that was filled before?"""

from __future__ import annotations

from collections.abc import Callable

from . import programs, rabbit, windows
from .model import Figures, Miscounted, Side
from .place import Place
from .postgres import Database
from .site import tally
from .systems import System

#: What shows that a job is done, by its name.
ROWS = {
    "audit": "SELECT count(*) FROM taskrouting_auditlog",
    "handler": "SELECT count(*) FROM bench_row",
}
LEDGER = "SELECT count(*) FROM taskrouting_delivery WHERE state = 'handled'"


def side(system: System, job: str) -> Side:
    """The side of a case that measures how many times in a second ``system`` does ``job``."""
    return Side(
        name=system.name,
        settings=system.settings,
        measure=lambda place: drain(place, system, job),
    )


def drain(place: Place, system: System, job: str) -> Figures:
    """Fill, start the workers, measure, stop them, and count."""
    total = int(system.plenty[job] * place.plenty)
    fill(place, system, job, total)
    database = Database(place.database_url)
    database.execute("VACUUM ANALYZE")
    done = _counter(place, system, job, database)
    before, known = done(), database.number(LEDGER)
    with programs.running(system.workers, system.env(place, job), place.log):
        figure = windows.rate(lambda: done() - before, total)
    _check(place, system, database, total, done() - before, known)
    database.close()
    return {"rate": figure}


def fill(place: Place, system: System, job: str, total: int) -> None:
    """Send ``total`` messages to the system's queue."""
    tally.prepare(place.tally)
    env = system.env(place, job)
    if not system.queue:
        programs.run(programs.site("enqueue", system.door, str(total)), env)
        return
    rabbit.clean(place.rabbitmq_url)
    programs.run(programs.site("enqueue", system.door, "1"), env)
    if system.door == "ours":
        programs.run(programs.manage("run_router_relay", "--burst"), env)
    rabbit.multiply(place.rabbitmq_url, system.queue, total)


def _counter(place: Place, system: System, job: str, database: Database) -> Callable[[], int]:
    if "with_kombu" in system.workers[0][-2]:
        return lambda: tally.total(place.tally)
    if job == "noop":
        if system.ledger:
            return lambda: database.number(LEDGER)
        return lambda: tally.total(place.tally)
    return lambda: database.number(ROWS[job])


def _check(
    place: Place, system: System, database: Database, total: int, done: int, known: int
) -> None:
    """Raise Miscounted unless everything is either done or still waiting."""
    if system.ledger and (handled := database.number(LEDGER) - known) != done:
        raise Miscounted(f"{done} were done, and the ledger has {handled}.")
    if system.queue:
        left = rabbit.settled_depth(place.rabbitmq_url, system.queue, total - done)
    elif system.waiting:
        left = database.number(system.waiting)
    else:
        left = max(total - done, 0)
    if not total <= done + left <= total + system.again:
        raise Miscounted(f"Of {total} messages {done} were done and {left} are left.")
