"""Forget deliveries and dead letters that are done with."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError

from taskrouting.consuming import pruning as deliveries
from taskrouting.dead_letters import pruning as dead_letters
from taskrouting.management.base import RouterCommand

#: A century; more is a slip of the hand, and further back than databases count.
MOST_DAYS = 36_500


class Command(RouterCommand):
    """``manage.py prune_router_history``."""

    help = (
        "Delete deliveries that were handled or discarded, and dead letters that were resolved, "
        "longer ago than --older-than days. What is waiting, running, dead or open stays, and so "
        "does the audit log. Deliveries are how a duplicate is recognised: a copy of an event "
        "that arrives after its delivery was deleted is handled again. So keep them for longer "
        "than any broker, outbox or producer may hold a copy back; 30 days are a good beginning."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--older-than", type=int, required=True, metavar="DAYS", help="At least 1."
        )

    def handle(self, *, older_than: int, **options: Any) -> None:
        """Delete in small batches and say how much."""
        if not 1 <= older_than <= MOST_DAYS:
            raise CommandError(f"--older-than is {older_than}; give 1 to {MOST_DAYS} days.")
        age = timedelta(days=older_than)
        self.stdout.write(f"Deliveries deleted: {deliveries.prune(age)}.")
        self.stdout.write(f"Dead letters deleted: {dead_letters.prune(age)}.")
