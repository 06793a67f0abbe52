"""How much slower is a loaded worker while history is pruned? ``make pruning``.

A worker has more to do than it can, and a ledger of a million old deliveries lies beside it.
Windows without pruning and windows with it take turns, so that whatever else the machine does
meets both alike; the figure is the median, over all pairs, of one window's throughput divided by
the other's. It runs on a PostgreSQL of its own, or on a SQLite file.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from . import busy

#: What is asked for: a worker keeps at least this share of its throughput.
WANTED = 0.9

OLD = timedelta(days=99)


def main() -> int:
    """Measure, print, and return 1 if pruning costs more than it may."""
    options = _options()
    if options.worker:
        return _work(options.worker)
    with ExitStack() as stack:
        url = stack.enter_context(busy.database(options.database))
        busy.configure(url, _nothing)
        _prepare(options.rows, options.events)
        pace = stack.enter_context(_pruning())
        stack.enter_context(_worker(url))
        ratio = _compare(pace, options.pairs, options.window)
    print(f"With pruning a worker has {ratio:.1%} of its throughput; at least {WANTED:.0%} is due.")
    return 0 if ratio >= WANTED else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.pruning")
    parser.add_argument("--database", choices=["postgres", "sqlite"], default="postgres")
    parser.add_argument("--rows", type=int, default=1_000_000, help="Old deliveries.")
    parser.add_argument("--events", type=int, default=300_000, help="What the worker has to do.")
    parser.add_argument("--pairs", type=int, default=30, help="Windows of each kind.")
    parser.add_argument("--window", type=float, default=2.0, help="Seconds of one window.")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def _nothing(event: Any) -> None:
    """Handle an event: there is nothing to do."""


def _work(url: str) -> int:
    """Be the worker."""
    busy.configure(url, _nothing)
    from django.core.management import call_command

    call_command("run_router_worker", "--grace", "1")
    return 0


@contextmanager
def _worker(url: str) -> Iterator[None]:
    """Run the worker as a program of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.pruning", "--worker", url],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": ""},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _prepare(rows: int, events: int) -> None:
    """Fill the ledger with what is old, and the queue with what is to do."""
    from django.core.management import call_command
    from django.db import connection, transaction
    from django.utils import timezone

    from taskrouting.models import Delivery

    print(f"Preparing {rows} old deliveries and {events} events.", flush=True)
    call_command("migrate", verbosity=0)
    then = timezone.now() - OLD
    with transaction.atomic(), connection.cursor() as cursor:
        # No value of ours is in it but the table's name.
        cursor.execute(
            f"""WITH RECURSIVE old(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM old WHERE n < %s)
            INSERT INTO {Delivery._meta.db_table} (event_id, source, subscription, queue,
                routing_key, state, attempts, crashes, suspect, errors, worker, received_at,
                started_at, finished_at)
            SELECT 'old-' || n, 'benchmarks', 'busy', %s, 'busy.row', 'handled', 1, 0, false, '[]',
                '', %s, %s, %s FROM old""",  # noqa: S608
            [rows, busy.QUEUE, then, then, then],
        )
    busy.publish(events)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


class Pace:
    """Lets the pruning go on, or hold, and knows how much went."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.deleted = 0
        self.over = False


@contextmanager
def _pruning() -> Iterator[Pace]:
    """Prune in a thread as the command does, whenever it may."""
    from django.db import connections

    from taskrouting import operators
    from taskrouting.management.commands.prune_router_history import SHARE
    from taskrouting.management.progress import unhurried

    pace, stop = Pace(), threading.Event()

    def prune() -> None:
        steps = operators.prune(timedelta(days=30))
        while not (stop.is_set() or pace.over):
            pace.go.wait()
            pace.over = True
            for _, step in unhurried(islice(steps, 1), SHARE):
                pace.deleted += step.deleted
                pace.over = False
        connections.close_all()

    thread = threading.Thread(target=prune)
    thread.start()
    try:
        yield pace
    finally:
        stop.set()
        pace.go.set()
        thread.join()


def _compare(pace: Pace, pairs: int, window: float) -> float:
    """Measure windows without and with pruning in turn; return the median of their ratios."""
    _wait_until(lambda: _handled() > 0)
    _measured(window)  # it warms up
    ratios = []
    for number in range(pairs):
        before, rates = pace.deleted, {}
        # Either kind goes first in every other pair, for the machine's other load may rise or fall.
        for beside in (False, True) if number % 2 else (True, False):
            (pace.go.set if beside else pace.go.clear)()
            rates[beside] = _measured(window)
        if pace.over or not _left():
            raise SystemExit("There was too little to do: give more --rows or more --events.")
        pruned = (pace.deleted - before) / window
        ratios.append(rates[True] / rates[False])
        print(
            f"{rates[False]:7.0f}/s alone {rates[True]:7.0f}/s beside {pruned:7.0f}/s pruned "
            f"{ratios[-1]:6.1%}",
            flush=True,
        )
    return statistics.median(ratios)


def _measured(window: float) -> float:
    """How many deliveries a second are handled."""
    began, before = time.monotonic(), _handled()
    time.sleep(window)
    return (_handled() - before) / (time.monotonic() - began)


def _handled() -> int:
    """The number of the newest delivery, minus the first; counting them would cost too much."""
    from taskrouting.models import Delivery

    new = Delivery.objects.exclude(event_id__startswith="old-").order_by("-pk")
    return int(new.values_list("pk", flat=True).first() or 0)


def _left() -> bool:
    from taskrouting.models import Message

    return bool(Message.objects.exists())


def _wait_until(condition: Callable[[], Any]) -> None:
    while not condition():
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
