"""Run workers, and the relay beside them, until told to stop."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from taskrouting import conf
from taskrouting.management.base import RouterCommand
from taskrouting.management.composition import Plan, talk
from taskrouting.management.watching import add_options, opened, supervise

#: What the letter behind a size stands for.
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Command(RouterCommand):
    """``manage.py run_router_worker``."""

    help = "Consume queues and run the subscribed handlers; relay the outbox beside it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--queues", help="Only these queues, separated by commas.")
        parser.add_argument(
            "--processes", type=whole_number, default=1, help="Worker processes (1)."
        )
        parser.add_argument("--threads", type=whole_number, help="Threads per process (THREADS).")
        parser.add_argument(
            "--prefetch", type=whole_number, help="Unsettled messages per queue (PREFETCH)."
        )
        parser.add_argument(
            "--burst",
            action="store_true",
            help="Exit when outbox, due retries and queues are empty.",
        )
        parser.add_argument("--no-relay", action="store_true", help="Do not relay the outbox here.")
        parser.add_argument(
            "--grace",
            type=seconds,
            help="Seconds for running handlers to finish (SHUTDOWN_GRACE).",
        )
        parser.add_argument(
            "--max-events", type=whole_number, help="Replace a process after so many messages."
        )
        parser.add_argument(
            "--max-rss",
            type=size,
            metavar="BYTES",
            help="Replace a process whose resident memory has grown larger, e.g. 512M.",
        )
        add_options(parser)

    def handle(
        self,
        *,
        queues: str | None,
        processes: int,
        burst: bool,
        no_relay: bool,
        grace: timedelta | None,
        **options: Any,
    ) -> None:
        """Make a plan, then supervise the processes that follow it."""
        plan = Plan(
            relay=not no_relay,
            burst=burst,
            queues=queues.split(",") if queues else None,
            threads=options["threads"],
            prefetch=options["prefetch"],
            grace=grace,
            max_events=options["max_events"],
            max_rss=options["max_rss"],
        )
        names = plan.prepared().queue_names()
        watch = opened(options)  # before anything is said: the rest would not follow
        patience = conf.current().shutdown_grace if grace is None else grace
        talk()
        self.stdout.write(f"Consuming {', '.join(names) or 'nothing'}. Stop with Ctrl-C.")
        self.stdout.flush()
        supervise(plan, watch, grace=patience, processes=processes)


def whole_number(text: str) -> int:
    """Read a whole number of at least 1."""
    if (number := int(text)) < 1:
        raise ArgumentTypeError(f"{number} is not enough; it must be at least 1.")
    return number


def seconds(text: str) -> timedelta:
    """Read a duration of 0 seconds or more."""
    if not 0 <= (number := float(text)) < float("inf"):
        raise ArgumentTypeError(f"{text} is no number of seconds from 0.")
    return timedelta(seconds=number)


def size(text: str) -> int:
    """Read a number of bytes: ``536870912``, ``512M``, ``2G``."""
    number, factor = (
        (text[:-1], UNITS[text[-1].upper()]) if text[-1:].upper() in UNITS else (text, 1)
    )
    if (whole := int(float(number) * factor)) < 1:
        raise ArgumentTypeError(f"{text} is no size; give bytes, or a number with K, M or G.")
    return whole
