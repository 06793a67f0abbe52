"""Let a queue that rests go on."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from taskrouting import operators
from taskrouting.management import operator
from taskrouting.management.base import RouterCommand


class Command(RouterCommand):
    """``manage.py resume_queue``."""

    help = "Let a queue that was paused go on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the argument."""
        parser.add_argument("queue", help="The name of the queue.")

    def handle(self, *, queue: str, **options: Any) -> None:
        """Resume; a queue that was not paused is no failure."""
        gone = operators.resume(queue, actor=operator.name())
        self.stdout.write(
            f"Queue {queue!r} is resumed; workers take from it again within a few seconds."
            if gone
            else f"Queue {queue!r} was not paused."
        )
