"""What does it cost a worker that its figures are collected? ``python -m benchmarks.figures``.

A worker with a handler that has nothing to do is the one that notices most. It runs in this
process, on ``django://`` and a PostgreSQL of its own or a SQLite file, and has more to do than it
can. The cost is told in two ways:

- *Added up*: the CPU time of what collecting does, measured by itself (the receiver of the signal
  in a tight loop with and without it, the thread that writes by its own clock), as a share of the
  CPU time that the worker spends on one message. This is the figure that is judged; other programs
  on the machine hardly change it.
- *Side by side*: windows with and without collection take turns, and the median over all pairs of
  one window's CPU time per message divided by the other's is printed, with how far the pairs
  differ. On a busy machine that is some per cent, so it can only show that nothing was forgotten.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

from . import busy
from .busy import QUEUE, TOGETHER

#: What is asked for: collecting takes less than this share.
WANTED = 0.01

#: How often the receiver is called to learn what one call takes, and how often that is learnt.
CALLS, TIMES = 20_000, 9


@dataclass(slots=True)
class Handled:
    """How many messages the handler has seen."""

    number: int = 0


def main() -> int:
    """Measure, print, and return 1 if collecting costs more than it may."""
    options = _options()
    with ExitStack() as stack:
        handled = Handled()
        _configure(stack.enter_context(busy.database(options.database)), handled)
        busy.publish(options.events)
        print(f"{options.events} events wait.", flush=True)
        with _working():
            _wait_until_busy(handled)
            message, ratios = _side_by_side(handled, options.pairs, options.window)
        call, write = _of_a_call(), _of_a_write()
    from taskrouting.instruments.figures import PAUSE

    share = call / message + write / PAUSE
    print(f"A message takes the worker {message * 1e6:.0f} µs of CPU time.")
    print(
        f"Counting it takes {call * 1e6:.2f} µs; a write every {PAUSE:g} s, {write * 1e3:.1f} ms."
    )
    median, spread = statistics.median(ratios), statistics.pstdev(ratios)
    print(f"Side by side: {median - 1:+.1%}, where single pairs differ by {spread:.1%}.")
    print(f"Added up: {share:.2%}; less than {WANTED:.0%} is due.")
    return 0 if share < WANTED else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.figures")
    parser.add_argument("--database", choices=["postgres", "sqlite"], default="postgres")
    parser.add_argument("--events", type=int, default=60_000, help="What the worker has to do.")
    parser.add_argument("--pairs", type=int, default=10, help="Windows of each kind.")
    parser.add_argument("--window", type=float, default=1.0, help="Seconds of one window.")
    return parser.parse_args()


def _configure(url: str, handled: Handled) -> None:
    """Set Django up with a handler that has nothing to do but count."""

    def handle(event: Any) -> None:
        handled.number += 1

    busy.configure(url, handle)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("declare_topology", stdout=StringIO())


@contextmanager
def _working() -> Iterator[None]:
    """Run a worker beside the block, in this process."""
    from taskrouting.consuming.worker import Worker
    from taskrouting.transport import broker

    stop = threading.Event()
    worker = Worker(broker.current(), grace=timedelta(seconds=5))
    thread = threading.Thread(target=worker.run, args=[stop])
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _wait_until_busy(handled: Handled) -> None:
    while handled.number < TOGETHER:
        time.sleep(0.1)


def _side_by_side(handled: Handled, pairs: int, window: float) -> tuple[float, list[float]]:
    """Return the CPU time of a message without collection, and the ratio of every pair."""
    alone, ratios = [], []
    for number in range(pairs):
        taken = {}
        # Either kind goes first in every other pair, for the machine's other load may rise or fall.
        for collects in (False, True) if number % 2 else (True, False):
            taken[collects] = _taken(handled, window, collects)
        alone.append(taken[False])
        ratios.append(taken[True] / taken[False])
    return statistics.median(alone), ratios


def _taken(handled: Handled, window: float, collects: bool) -> float:
    """The CPU time of one message, over a window with or without collection."""
    from taskrouting.instruments import figures

    with figures.collecting() if collects else nullcontext():
        before, began = handled.number, time.process_time()
        time.sleep(window)
        count, seconds = handled.number - before, time.process_time() - began
    if count < TOGETHER / 2:
        raise SystemExit("There was too little to do: give more --events.")
    return seconds / count


def _of_a_call() -> float:
    """The CPU time of counting one delivery, at the best of several times."""
    from taskrouting.instruments.tally import Tally

    def timed() -> float:
        began = time.thread_time()
        _tell(CALLS)
        return (time.thread_time() - began) / CALLS

    alone = min(timed() for _ in range(TIMES))
    with Tally().listening():
        beside = min(timed() for _ in range(TIMES))
    return beside - alone


def _tell(times: int) -> None:
    """Say so often that a delivery was handled."""
    from taskrouting import Event, signals

    event = Event(id="1", type="busy.one", source="here", time=datetime.now(UTC))
    took = timedelta(milliseconds=3)
    for _ in range(times):
        signals.emit(
            signals.delivery_finished,
            Handled,
            event=event,
            subscription="busy",
            queue=QUEUE,
            attempt=1,
            outcome="handled",
            duration=took,
            error=None,
        )


def _tell_of_many_lengths(tally: Any) -> None:
    """Count deliveries whose times are spread over more than they are in five seconds."""
    from taskrouting import Event

    for number in range(12):
        length = timedelta(seconds=0.001 * 2 ** (number / 2))
        event = Event(id="1", type="busy.one", source="here", time=datetime.now(UTC) - length)
        tally.finished(event=event, subscription="busy", queue=QUEUE, outcome="handled",
                       duration=length)  # fmt: skip


def _of_a_write() -> float:
    """The CPU time of writing what one busy subscription has counted, the median of several."""
    from taskrouting.instruments import figures
    from taskrouting.instruments.tally import Tally

    tally, taken = Tally(), []
    for _ in range(2 * TIMES):
        _tell_of_many_lengths(tally)
        tally.passed(using="default")
        began = time.thread_time()
        figures.write(tally)
        taken.append(time.thread_time() - began)
    return statistics.median(taken)


if __name__ == "__main__":
    sys.exit(main())
