"""Forget deliveries, dead letters and sweeps that are done with."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Model

from taskrouting import operators
from taskrouting.management import operator
from taskrouting.management.base import RouterCommand
from taskrouting.management.progress import Bar, unhurried
from taskrouting.models import DeadLetter, Delivery, Sweep

#: A century; more is a slip of the hand, and further back than databases count.
MOST_DAYS = 36_500

#: The part of the time in which something is deleted: workers need the database too.
SHARE = 0.1


class Command(RouterCommand):
    """``manage.py prune_router_history``."""

    help = (
        "Delete deliveries that were handled or discarded, dead letters that were resolved, and "
        "sweeps that ended, longer ago than --older-than days. What is waiting, running, dead or "
        "open stays, and so does the audit log. Deliveries are how a duplicate is recognised: a "
        "copy of an event that arrives after its delivery was deleted is handled again. So keep "
        "them for longer than any broker, outbox or producer may hold a copy back; 30 days are a "
        "good beginning."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--older-than", type=int, required=True, metavar="DAYS", help="At least 1."
        )

    def handle(self, *, older_than: int, **options: Any) -> None:
        """Delete in small steps, and say how much, also when interrupted."""
        if not 1 <= older_than <= MOST_DAYS:
            raise CommandError(f"--older-than is {older_than}; give 1 to {MOST_DAYS} days.")
        try:
            steps = operators.prune(timedelta(days=older_than), actor=operator.name())
        except ValueError as error:
            raise CommandError(f"--older-than {older_than}: {error}") from error
        deleted: Counter[type[Model]] = Counter()
        bar = Bar(self.stderr, "Pruning")
        try:
            for model, step in unhurried(steps, SHARE):
                deleted[model] += step.deleted
                bar.show(step.done, deleted.total())
        except KeyboardInterrupt:
            self._sum_up(deleted)
            raise CommandError("Interrupted; the rest is still there.", returncode=130) from None
        finally:
            bar.end()
        self._sum_up(deleted)

    def _sum_up(self, deleted: Counter[type[Model]]) -> None:
        self.stdout.write(f"Deliveries deleted: {deleted[Delivery]}.")
        self.stdout.write(f"Dead letters deleted: {deleted[DeadLetter]}.")
        self.stdout.write(f"Sweeps deleted: {deleted[Sweep]}.")
