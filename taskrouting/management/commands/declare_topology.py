"""Declare exchange, queues and bindings on the broker, or say how it differs from the code."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from taskrouting import operators
from taskrouting.management import operator
from taskrouting.management.base import RouterCommand
from taskrouting.routing import topology
from taskrouting.transport import broker, inspection
from taskrouting.transport.drift import Drift, describe, shown


class Command(RouterCommand):
    """``manage.py declare_topology``."""

    help = (
        "Declare exchange, queues and bindings as the code has them. Workers and relays do so by "
        "themselves; this is for a deployment that wants them there before."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--check",
            action="store_true",
            help="Change nothing; say what differs, and exit with 1 if anything does.",
        )
        parser.add_argument(
            "--prune",
            action="store_true",
            help=(
                "Also remove the bindings of our queues that the code no longer declares. The "
                "queues stay, with what waits in them. Run it when no old worker runs any more: "
                "one that starts would bind them again."
            ),
        )

        parser.add_argument(
            "--json", action="store_true", help="With --check: say what differs for programs."
        )

    def handle(self, *, check: bool, prune: bool, **options: Any) -> None:
        """Compare or declare."""
        if options["json"] and not check:
            raise CommandError("--json is for --check; add that.")
        if check and prune:
            raise CommandError("--check changes nothing, and --prune does; choose one.")
        here, wanted = broker.current(), topology.current()
        with here.connect() as connection:
            if not check:
                here.declare(connection, wanted)
            found = inspection.drift(here, connection, wanted)
            if prune:
                operators.unbind(
                    here, connection, wanted.exchange, found.left_over, actor=operator.name()
                )
        if options["json"]:
            told = {"exchange": wanted.exchange, **describe(found)}
            self.stdout.write(json.dumps(told, indent=2, ensure_ascii=False))
        else:
            self._report(found, prune=prune)
        if check and found:
            raise CommandError("The broker differs from the code.")
        if not options["json"]:
            self._sum_up(check=check)

    def _report(self, found: Drift, *, prune: bool) -> None:
        for what in found.missing:
            self.stdout.write(f"Missing: {what}")
        for conflict in found.conflicts.values():
            self.stdout.write(f"Different: {conflict}")
        verb = "Removed" if prune else "Left over, --prune removes it"
        for binding in found.left_over:
            self.stdout.write(f"{verb}: binding {shown(binding)}")
        for binding in found.foreign:
            self.stdout.write(f"Not ours, left alone: binding {shown(binding)}")
        for sentence in found.unchecked:
            self.stdout.write(sentence)

    def _sum_up(self, *, check: bool) -> None:
        wanted = topology.current()
        queues = ", ".join(repr(queue.name) for queue in wanted.queues) or "no queues"
        self.stdout.write(
            f"{'Compared' if check else 'Declared'}: exchange {wanted.exchange!r} with {queues}."
        )
