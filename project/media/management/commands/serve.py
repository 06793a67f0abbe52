"""How is the site tried out? ``manage.py serve``: the web server and a worker beside it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand, CommandParser

from project import processes

USERNAME = PASSWORD = "admin"  # noqa: S105  # of a site on your own machine, in DEBUG only


class Command(BaseCommand):
    """Run the example site on this machine until Ctrl-C."""

    help = "Run the example site and a worker beside it, until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the address to listen on."""
        parser.add_argument("address", nargs="?", default="127.0.0.1:8000", help="host:port")

    def handle(self, *, address: str, **options: Any) -> None:
        """Prepare the database, start both, and stop both when one of them or the user ends."""
        call_command("migrate", verbosity=0)
        self._say_where(address)
        with processes.stop_signals() as stop:
            programs = [
                processes.start("The worker", "run_router_worker"),
                processes.start("The web server", "runserver", address),
            ]
            ended = processes.watch(programs, stop)
            for program in reversed(programs):
                program.stop()
        if ended is not None:
            raise CommandError(f"{ended.name} ended by itself (exit code {ended.exit_code}).")
        self.stdout.write("Both have stopped.")

    def _say_where(self, address: str) -> None:
        self.stdout.write(f"The site:   http://{address}/\nThe admin:  http://{address}/admin/")
        if settings.DEBUG and _has_demo_user():
            self.stdout.write(f"Log in as:  {USERNAME} (password {PASSWORD})")
        self.stdout.write("Ctrl-C stops both.\n")


def _has_demo_user() -> bool:
    """Make the demo user where there is none of that name; say whether its password is ours."""
    user = User.objects.filter(username=USERNAME).first()
    if user is None:
        user = User.objects.create_superuser(USERNAME, "admin@example.org", PASSWORD)
    return user.check_password(PASSWORD)
