"""Send dead letters round again."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError
from django.db.models import QuerySet

from taskrouting import conf, operators
from taskrouting.exceptions import TaskroutingError
from taskrouting.management import operator
from taskrouting.management.base import RouterCommand
from taskrouting.management.progress import Bar, paced
from taskrouting.models import DeadLetter

NOTE = "redrive_dead_letters"

#: Options that choose, and what each is compared with.
FILTERS = {
    "queue": "queue",
    "subscription": "subscription",
    "reason": "reason",
    "event": "event_id",
    "error": "error__contains",
}

#: The exit code of a program that Ctrl-C has ended.
INTERRUPTED = 130


class Command(RouterCommand):
    """``manage.py redrive_dead_letters``."""

    help = (
        "Send open dead letters round again: each to its own queue and subscription only. It may "
        "be interrupted at any point, and run again for the rest."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--queue", help="Only those of this queue.")
        parser.add_argument("--subscription", help="Only those of this subscription.")
        parser.add_argument(
            "--reason", choices=DeadLetter.Reason.values, help="Only those with this reason."
        )
        parser.add_argument("--event", metavar="ID", help="Only those of this event.")
        parser.add_argument(
            "--error", metavar="TEXT", help="Only those whose error contains TEXT: ConnectionError."
        )
        parser.add_argument("--all", action="store_true", help="Every open dead letter.")
        parser.add_argument("--dry-run", action="store_true", help="Only count.")
        parser.add_argument("--rate", type=_rate, metavar="N", help="No more than N in a second.")
        parser.add_argument(
            "--yes", "--noinput", "--no-input", action="store_false", dest="interactive",
            help="Do not ask, also on a terminal.",
        )  # fmt: skip

    def handle(self, **options: Any) -> None:
        """Choose, count, ask, and redrive one by one."""
        chosen = _chosen(options)
        keys = list(chosen.values_list("pk", flat=True))
        if options["dry_run"]:
            self.stdout.write(f"Dead letters that would be redriven: {len(keys)}.")
            return
        self.stdout.write(f"Dead letters to redrive: {len(keys)}.")
        if options["interactive"] and keys and self._on_terminal():
            _ask()
        self._redrive(chosen, keys, options["rate"])

    def _on_terminal(self) -> bool:
        return sys.stdin.isatty() and self.stdout.isatty()

    def _redrive(self, chosen: QuerySet[DeadLetter], keys: list[int], rate: float | None) -> None:
        """Redrive each in a transaction of its own; one that cannot be stops nobody else."""
        redriven, refused = 0, 0
        bar = Bar(self.stderr, "Redriving")
        try:
            for number, key in enumerate(paced(keys, rate), start=1):
                try:
                    redriven += _redrive_one(chosen.filter(pk=key))
                except TaskroutingError as error:
                    refused += 1
                    self.stderr.write(f"Dead letter {key}: {error}")
                bar.show(number / len(keys), redriven)
        except KeyboardInterrupt:
            text = f"Interrupted when {redriven} of {len(keys)} were redriven; the rest is open."
            raise CommandError(text, returncode=INTERRUPTED) from None
        finally:
            bar.end()
        self.stdout.write(f"Dead letters redriven: {redriven}.")
        if refused:
            raise CommandError(f"Dead letters that could not be redriven: {refused}.")


def _chosen(options: dict[str, Any]) -> QuerySet[DeadLetter]:
    """Find what was named. Raises CommandError where nothing was, and not ``--all`` either."""
    named = {FILTERS[name]: options[name] for name in FILTERS if options[name] is not None}
    if bool(named) == options["all"]:
        *most, last = (f"--{name}" for name in FILTERS)
        raise CommandError(f"Name a {', '.join(most)} or {last}, or else pass --all.")
    letters = DeadLetter.objects.using(conf.current().database)
    return letters.filter(resolved_at=None, **named).order_by("pk")


def _redrive_one(chosen: QuerySet[DeadLetter]) -> bool:
    """Redrive the one dead letter; False when somebody else has resolved it meanwhile."""
    letter = chosen.first()
    return letter is not None and operators.redrive(letter, note=NOTE, actor=operator.name())


def _ask() -> None:
    if input("Redrive them? Type 'yes' to go on: ") != "yes":
        raise CommandError("Nothing was redriven.")


def _rate(text: str) -> float:
    """Read a rate. Raises ArgumentTypeError for what is no number above 0."""
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise ArgumentTypeError(f"{text!r} is no rate; give a number above 0, such as 50.")
    return rate
