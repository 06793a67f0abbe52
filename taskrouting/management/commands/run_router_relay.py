"""Run the relay alone, for installations whose workers do not."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from taskrouting import conf
from taskrouting.consuming.supervisor import Supervisor
from taskrouting.management.base import RouterCommand
from taskrouting.management.composition import Plan, talk


class Command(RouterCommand):
    """``manage.py run_router_relay``."""

    help = "Move events from the outbox to the broker until told to stop."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--burst", action="store_true", help="Exit when the outbox is empty.")

    def handle(self, *, burst: bool, **options: Any) -> None:
        """Supervise one process that only relays."""
        plan = Plan(worker=False, burst=burst).prepared()
        talk()
        self.stdout.write("Relaying. Stop with Ctrl-C.")
        self.stdout.flush()
        supervisor = Supervisor(
            plan.run, processes=1, grace=conf.current().shutdown_grace, burst=burst
        )
        if code := supervisor.run():
            raise SystemExit(code)
