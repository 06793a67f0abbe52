"""Run the relay alone, for installations whose workers do not."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from taskrouting import conf
from taskrouting.management.base import RouterCommand
from taskrouting.management.composition import Plan, talk
from taskrouting.management.watching import add_options, opened, supervise


class Command(RouterCommand):
    """``manage.py run_router_relay``."""

    help = "Move events from the outbox to the broker until told to stop."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--burst", action="store_true", help="Exit when the outbox is empty.")
        add_options(parser)

    def handle(self, *, burst: bool, **options: Any) -> None:
        """Supervise one process that only relays."""
        plan = Plan(worker=False, burst=burst).prepared()
        watch = opened(options)  # before anything is said: the rest would not follow
        talk()
        self.stdout.write("Relaying. Stop with Ctrl-C.")
        self.stdout.flush()
        supervise(plan, watch, grace=conf.current().shutdown_grace)
