"""Send dead letters round again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db.models import QuerySet

from taskrouting import conf, operators
from taskrouting.exceptions import TaskroutingError
from taskrouting.management import operator
from taskrouting.management.base import RouterCommand
from taskrouting.models import DeadLetter

NOTE = "redrive_dead_letters"


class Command(RouterCommand):
    """``manage.py redrive_dead_letters``."""

    help = "Send open dead letters round again: each to its own queue and subscription only."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--queue", help="Only those of this queue.")
        parser.add_argument("--subscription", help="Only those of this subscription.")
        parser.add_argument(
            "--reason", choices=DeadLetter.Reason.values, help="Only those with this reason."
        )
        parser.add_argument("--all", action="store_true", help="Every open dead letter.")
        parser.add_argument("--dry-run", action="store_true", help="Only count.")

    def handle(
        self,
        *,
        queue: str | None,
        subscription: str | None,
        reason: str | None,
        all: bool,
        dry_run: bool,
        **options: Any,
    ) -> None:
        """Choose, then redrive one by one; whoever cannot be redriven stops nobody else."""
        named = {"queue": queue, "subscription": subscription, "reason": reason}
        filters = {name: value for name, value in named.items() if value is not None}
        if bool(filters) == all:
            raise CommandError("Name a --queue, --subscription or --reason, or else pass --all.")
        letters = DeadLetter.objects.using(conf.current().database)
        chosen = letters.filter(resolved_at=None, **filters).order_by("pk")
        if dry_run:
            self.stdout.write(f"Dead letters that would be redriven: {chosen.count()}.")
        else:
            self._redrive(chosen)

    def _redrive(self, chosen: QuerySet[DeadLetter]) -> None:
        redriven, refused = 0, 0
        for key in list(chosen.values_list("pk", flat=True)):
            letter = chosen.filter(pk=key).first()
            if letter is None:
                continue  # somebody else has resolved it meanwhile
            try:
                redriven += operators.redrive(letter, note=NOTE, actor=operator.name())
            except TaskroutingError as error:
                refused += 1
                self.stderr.write(f"Dead letter {key}: {error}")
        self.stdout.write(f"Dead letters redriven: {redriven}.")
        if refused:
            raise CommandError(f"Dead letters that could not be redriven: {refused}.")
