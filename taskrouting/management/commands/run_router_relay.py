"""Run the relay alone, for installations whose workers do not."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskrouting import conf
from taskrouting.consuming.supervisor import Supervisor
from taskrouting.exceptions import ConfigurationError
from taskrouting.management.composition import Plan, talk


class Command(BaseCommand):
    """``manage.py run_router_relay``."""

    help = "Move events from the outbox to the broker until told to stop."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--burst", action="store_true", help="Exit when the outbox is empty.")

    def handle(self, *, burst: bool, **options: Any) -> None:
        """Supervise one process that only relays."""
        try:
            plan = Plan(worker=False, burst=burst).prepared()
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        talk()
        self.stdout.write("Relaying. Stop with Ctrl-C.")
        self.stdout.flush()
        supervisor = Supervisor(
            plan.run, processes=1, grace=conf.current().shutdown_grace, burst=burst
        )
        if code := supervisor.run():
            raise SystemExit(code)
