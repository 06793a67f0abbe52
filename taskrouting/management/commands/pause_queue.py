"""Let a queue rest."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from taskrouting import operators
from taskrouting.management import operator
from taskrouting.management.base import RouterCommand


class Command(RouterCommand):
    """``manage.py pause_queue``."""

    help = (
        "Let a queue rest: workers take nothing more from it, and finish what they have taken. "
        "What is published goes on arriving in it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("queue", help="The name of the queue.")
        parser.add_argument("--reason", default="", help="Why; others will read it.")

    def handle(self, *, queue: str, reason: str, **options: Any) -> None:
        """Pause; a queue that rests already is no failure."""
        new = operators.pause(queue, reason, actor=operator.name())
        self.stdout.write(
            f"Queue {queue!r} is paused; workers take nothing more from it within a few seconds."
            if new
            else f"Queue {queue!r} was paused already."
        )
