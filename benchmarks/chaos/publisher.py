"""What do the publishers of a run do? Business transactions that commit, roll back or die.

``python -m benchmarks.chaos.publisher SEED PROCESSES`` keeps so many processes publishing until it
is told to stop; whoever dies is replaced. While the file ``hold`` is in the folder nobody begins
another transaction.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import django

from .processes import send

#: Routing keys of events that are published one by one, with how often each is chosen.
KINDS = {
    "work.plain": 300,
    "work.flaky": 60,
    "work.snoozing": 40,
    "work.parent": 60,
    "work.external": 60,
    "work.lingering": 6,
    "work.slow": 3,
}
POISON = "work.poison"

#: Events published together, from and to.
BULK = 20, 120

#: Seconds within which a COMMIT is somewhere on its way.
COMMITTING = 0.004

PAUSE = 0.05


class Publisher:
    """One process that publishes until it dies."""

    def __init__(self, seed: int, *, peaceful: bool, kinds: Sequence[str], poison_in: int) -> None:
        """In peace nobody is killed; ``kinds`` limits what is published, bulk apart."""
        from django.conf import settings

        self._random = random.Random(seed)
        self._hold = settings.CHAOS_FOLDER / "hold"
        self._folder = settings.CHAOS_FOLDER
        self._acts: dict[Callable[[], None], int] = {
            self._one: 40,
            self._several: 15,
            self._bulk: 0 if kinds else 12,
            self._nested: 10,
            self._rolled_back: 8,
            self._killed_before: 0 if peaceful else 1,
            self._killed_during: 0 if peaceful else 2,
            self._killed_after: 0 if peaceful else 1,
        }
        self._kinds: dict[str, float] = {kind: KINDS[kind] for kind in kinds or KINDS}
        if not peaceful and not kinds:
            self._kinds[POISON] = sum(KINDS.values()) / poison_in

    def run(self) -> None:
        """Publish for ever; where the database is away, wait for it."""
        from django.db import DatabaseError, InterfaceError, connections

        acts, weights = list(self._acts), list(self._acts.values())
        while True:
            if self._hold.exists():
                time.sleep(PAUSE)
                continue
            try:
                self._random.choices(acts, weights)[0]()
            except (DatabaseError, InterfaceError):
                connections.close_all()
                time.sleep(PAUSE)

    def _one(self) -> None:
        with _transaction():
            self._publish()

    def _several(self) -> None:
        with _transaction():
            for _ in range(self._random.randint(2, 5)):
                self._publish()

    def _bulk(self) -> None:
        from taskrouting import publish_many

        from .models import Fact

        with _transaction():
            count = self._random.randint(*BULK)
            events = publish_many([("bulk.load", {"number": number}) for number in range(count)])
            Fact.objects.bulk_create(
                [Fact(event_id=event.id, routing_key=event.type) for event in events]
            )

    def _nested(self) -> None:
        with _transaction():
            self._publish()
            try:
                with _transaction():
                    self._publish()
                    raise _RolledBack
            except _RolledBack:
                self._publish()

    def _rolled_back(self) -> None:
        try:
            with _transaction():
                self._publish()
                raise _RolledBack
        except _RolledBack:
            return

    def _killed_before(self) -> None:
        with _transaction():
            self._publish()
            self._die("before")

    def _killed_during(self) -> None:
        with _transaction():
            self._publish()
            delay = self._random.uniform(0, COMMITTING)
            threading.Timer(delay, self._die, ["during"]).start()
        time.sleep(2 * COMMITTING)

    def _killed_after(self) -> None:
        with _transaction():
            self._publish()
        self._die("after")

    def _publish(self) -> None:
        from taskrouting import publish

        from .models import Fact

        kind = self._random.choices(list(self._kinds), list(self._kinds.values()))[0]
        event = publish(kind, {"number": self._random.randint(0, 10**9)})
        Fact.objects.create(event_id=event.id, routing_key=event.type)

    def _die(self, when: str) -> None:
        from . import journal

        journal.write(self._folder, journal.DEEDS, deed=f"publisher killed {when} commit")
        os.kill(os.getpid(), signal.SIGKILL)


class _RolledBack(Exception):
    """Raised to roll back."""


def _transaction() -> Any:
    from django.db import transaction

    return transaction.atomic()


def keep_publishing(processes: int, seed: int, **options: Any) -> None:
    """Replace every publisher that dies, until SIGTERM."""
    django.setup()
    children: set[int] = set()

    def end(number: int, frame: object) -> None:
        send(list(children), signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    while True:
        while len(children) < processes:
            seed += 1
            # Until it has a handler of its own, a signal to the child must wait, not reach ours.
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            child = os.fork()
            if not child:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
                Publisher(seed, **options).run()
            children.add(child)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        children.discard(os.wait()[0])


def main() -> None:
    """Read the options and publish."""
    parser = argparse.ArgumentParser()
    parser.add_argument("seed", type=int)
    parser.add_argument("processes", type=int)
    parser.add_argument("--peaceful", action="store_true")
    parser.add_argument("--kinds", nargs="*", default=[])
    parser.add_argument("--poison-in", type=int, required=True)
    keep_publishing(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
