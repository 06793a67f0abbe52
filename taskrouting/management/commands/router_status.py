"""Say how the installation is doing."""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError, connections

from taskrouting import dashboard, health
from taskrouting.dashboard import RANGES, Dashboard, Line, Part
from taskrouting.health import BrokerHealth, Count, Health, OutboxHealth, QueueHealth, WorkerHealth
from taskrouting.management.base import RouterCommand

#: The parts that are told by their state, beside the lists of what there is of each.
PARTS = {"relay": "Relay", "audit": "Audit log"}

#: Seconds between two looks, where nobody says how many.
OFTEN = 2.0

#: What clears a terminal and begins at its top.
CLEAR = "\033[2J\033[H"


class Command(RouterCommand):
    """``manage.py router_status``."""

    help = "Say whether the broker answers, what waits, what happens, what died and who works."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--json", action="store_true", help="For programs; durations are in seconds."
        )
        parser.add_argument(
            "--range", choices=list(RANGES), default="15m", help="How far back to look (15m)."
        )
        parser.add_argument(
            "--watch",
            nargs="?",
            type=seconds,
            const=OFTEN,
            metavar="SECONDS",
            help="Look again every so many seconds (2), until interrupted.",
        )

    def handle(self, *, watch: float | None, **options: Any) -> None:
        """Look and print; whatever there is to see, the answer is a success."""
        try:
            if watch is None:
                self.stdout.write(_told(**options))
            else:
                self._watch(watch, options)
            self.stdout.flush()  # here, and not when Python ends, where nobody could catch it
        except BrokenPipeError:
            _write_no_more()

    def _watch(self, pause: float, options: dict[str, Any]) -> None:
        """Look again and again, until interrupted."""
        try:
            while True:
                self._show(options)
                time.sleep(pause)
        except KeyboardInterrupt:
            self.stdout.write("")

    def _show(self, options: dict[str, Any]) -> None:
        """Look once more; what cannot be seen now may be seen again later."""
        try:
            told = _told(**options, brief=True)
        except (DatabaseError, InterfaceError) as error:
            connections.close_all()
            told = f"The database could not be asked: {str(error).strip()}"
            told = json.dumps({"error": told}) if options["json"] else told
        if options["json"]:
            self.stdout.write(told)
        else:
            clear = CLEAR if self.stdout.isatty() else ""
            self.stdout.write(f"{clear}{datetime.now():%Y-%m-%d %H:%M:%S}\n{told}\n")
        self.stdout.flush()


def seconds(text: str) -> float:
    """Read a number of seconds above 0."""
    if not 0 < (number := float(text)) < float("inf"):
        raise ArgumentTypeError(f"{text} is no number of seconds above 0.")
    return number


def _write_no_more() -> None:
    """Let what is still to be flushed go nowhere: whoever read it, ``head`` say, has enough."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _told(*, range: str, json: bool, brief: bool = False, **options: Any) -> str:
    found, seen = health.look(), dashboard.look(RANGES[range])
    return _as_json(found, seen, brief) if json else "\n".join(_lines(found, seen))


def _as_json(found: Health, seen: Dashboard, brief: bool) -> str:
    plain = {**health.as_json(found), **dashboard.as_json(seen)}
    return json.dumps(plain, indent=None if brief else 2, ensure_ascii=False)


def _lines(found: Health, seen: Dashboard) -> Iterator[str]:
    yield f"Broker       {found.broker.kind}: {_broker(found.broker)}"
    yield from (f"{_part(each)}" for each in seen.parts if each.name in PARTS)
    yield from (f"Outbox       {_outbox(each)}" for each in found.outboxes)
    yield from (f"Queue        {_queue(each)}" for each in found.queues)
    yield from _flow(seen)
    yield f"Deliveries   {_counts(found.deliveries)}"
    yield f"Dead letters {_counts(found.dead_letters) or 'none is open'}"
    yield from (f"Worker       {_worker(each)}" for each in found.workers)
    if not any(worker.alive for worker in found.workers):
        yield "Worker       none is alive; start one with run_router_worker"


def _part(part: Part) -> str:
    heard = "" if part.age is None else f", heard {_length(part.age)} ago"
    return f"{PARTS[part.name]:<13}{part.state.value}{heard}: {part.reason}"


def _flow(seen: Dashboard) -> Iterator[str]:
    figures = seen.figures
    if figures.published_average is not None:
        yield (
            f"Published    {figures.published:.2f}/s, "
            f"{figures.published_average:.2f}/s over {seen.range.name}"
        )
    yield (
        f"Handled      {figures.handled:.2f}/s, {figures.handled_average:.2f}/s over "
        f"{seen.range.name}{_failures(figures.failed, figures.failure_rate)}"
    )
    if figures.audit_lag is not None:
        yield f"Audit lag    {_seconds(figures.audit_lag.total_seconds())}"
    yield from (f"Subscription {_subscription(each)}" for each in seen.lines if each.totals.counts)


def _subscription(line: Line) -> str:
    totals = line.totals
    latency = [_seconds(totals.within("latency", share)) for share in (0.5, 0.95)]
    return (
        f"{line.subscription} on {line.queue}: {totals.handled} handled"
        f"{_failures(totals.failed, totals.failure_rate)}, "
        f"half within {latency[0]}, 95 % within {latency[1]}"
    )


def _failures(failed: int, rate: float | None) -> str:
    return f", {failed} failed ({rate:.1%})" if failed and rate is not None else ""


def _seconds(length: float | None) -> str:
    return "–" if length is None else f"{length:.3g} s"


def _broker(broker: BrokerHealth) -> str:
    if not broker.reachable:
        return f"NOT reachable: {broker.error}"
    if not broker.takes_messages:
        return "reachable, takes NO messages: it is short of memory or disk space"
    return "reachable"


def _outbox(outbox: OutboxHealth) -> str:
    if outbox.error:
        return f"{outbox.database}: NOT readable: {outbox.error}"
    oldest = f", the oldest for {_length(outbox.oldest)}" if outbox.oldest is not None else ""
    return f"{outbox.database}: {outbox.waiting} waiting{oldest}"


def _queue(queue: QueueHealth) -> str:
    broker = "" if queue.on_broker is None else f", {queue.on_broker} on the broker"
    unknown = "" if queue.declared else " (the code declares no such queue)"
    paused = ", PAUSED" if queue.paused else ""
    return f"{queue.name}: {queue.in_database} in the database{broker}{unknown}{paused}"


def _worker(worker: WorkerHealth) -> str:
    state = "alive" if worker.alive else "SILENT"
    return (
        f"{worker.name}: {state}, heard {_length(worker.silent_for)} ago, "
        f"{worker.threads} threads on {', '.join(worker.queues) or 'no queue'}"
    )


def _counts(counts: dict[str, Count]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _length(duration: timedelta) -> str:
    """Write a length of time without its fractions of a second."""
    return str(timedelta(seconds=max(0, round(duration.total_seconds()))))
