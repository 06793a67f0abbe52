"""Run workers, and the relay beside them, until told to stop."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskrouting import conf
from taskrouting.consuming.supervisor import Supervisor
from taskrouting.exceptions import ConfigurationError
from taskrouting.management.composition import Plan


class Command(BaseCommand):
    """``manage.py run_router_worker``."""

    help = "Consume queues and run the subscribed handlers; relay the outbox beside it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--queues", help="Only these queues, separated by commas.")
        parser.add_argument("--processes", type=int, default=1, help="Worker processes (1).")
        parser.add_argument("--threads", type=int, help="Threads per process (THREADS).")
        parser.add_argument("--prefetch", type=int, help="Unsettled messages per queue (PREFETCH).")
        parser.add_argument(
            "--burst",
            action="store_true",
            help="Exit when outbox, due retries and queues are empty.",
        )
        parser.add_argument("--no-relay", action="store_true", help="Do not relay the outbox here.")
        parser.add_argument(
            "--grace", type=float, help="Seconds for running handlers to finish (SHUTDOWN_GRACE)."
        )

    def handle(
        self,
        *,
        queues: str | None,
        processes: int,
        threads: int | None,
        prefetch: int | None,
        burst: bool,
        no_relay: bool,
        grace: float | None,
        **options: Any,
    ) -> None:
        """Check the options, then supervise."""
        for name, number in (
            ("processes", processes),
            ("threads", threads),
            ("prefetch", prefetch),
        ):
            if number is not None and number < 1:
                raise CommandError(f"--{name} is {number}; it must be at least 1.")
        plan = Plan(
            relay=not no_relay,
            burst=burst,
            queues=queues.split(",") if queues else None,
            threads=threads,
            prefetch=prefetch,
            grace=None if grace is None else timedelta(seconds=grace),
        )
        try:
            supervisor = Supervisor(
                plan.prepared().run,
                processes=processes,
                grace=plan.grace or conf.current().shutdown_grace,
                burst=burst,
            )
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Consuming {', '.join(plan.queue_names()) or 'nothing'}. Stop with Ctrl-C."
        )
        self.stdout.flush()
        if code := supervisor.run():
            raise SystemExit(code)
