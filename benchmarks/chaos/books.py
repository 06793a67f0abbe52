"""Do the books balance? Every promise is counted, row by row, after everything has settled.

The truth is a business row that commits with its event, read at the end: a publisher that was
killed during COMMIT does not know the outcome itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from . import journal
from .installation import Installation

#: Seconds by which two processes may notice the same moment differently.
SLACK = 0.5

#: States of a delivery from which it does not go on by itself.
ENDED = ("handled", "dead")

#: What ends or stops a process, so that what it did may be done again.
TO_PROCESSES = ("worker process killed", "worker killed", "worker restarted", "poison",
                "process stopped")  # fmt: skip

#: What keeps a process from renewing its leases.
TO_DATABASE = ("database killed", "database started", "database frozen", "database cut",
               "database locked")  # fmt: skip

#: What a broker answers with copies that it has delivered before.
UNCOMMON = ("killed", "cut", "frozen", "stopped", "flushed", "locked", "poison")


@dataclass
class Books:
    """Violations by promise, with a few examples of each; empty is what is promised."""

    found: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    events: int = 0
    effects: int = 0
    external: int = 0
    repeated: int = 0
    poisoned: int = 0

    def add(self, promise: str, broken: Iterable[object]) -> None:
        """Note what breaks a promise."""
        self.found[promise] += [str(each) for each in broken]

    @property
    def violations(self) -> dict[str, int]:
        """How often each promise was broken."""
        return {promise: len(broken) for promise, broken in self.found.items()}


def audit(here: Installation) -> Books:
    """Check everything; needs Django to be set up on the run's database."""
    from .models import Fact

    books = Books()
    facts = dict(Fact.objects.values_list("event_id", "routing_key"))
    books.events = len(facts)
    _audit_rows(books, facts)
    _database_effects(books, facts)
    _external_effects(books, facts, here)
    _outcomes(books, facts, here.folder)
    _what_is_left(books, here)
    _copies(books, here.folder)
    return books


def _audit_rows(books: Books, facts: dict[str, str]) -> None:
    from taskrouting.models import AuditLog

    counts = Counter(AuditLog.objects.values_list("event_id", flat=True))
    books.add("lost audit rows", facts.keys() - counts.keys())
    books.add("ghost audit rows", counts.keys() - facts.keys())
    books.add("doubled audit rows", _repeated(counts))


def _database_effects(books: Books, facts: dict[str, str]) -> None:
    from .models import Effect

    wanted = set(_wanted(facts, "database")) - {
        (event_id, "poison") for event_id, key in facts.items() if key == "work.poison"
    }
    counts = Counter(Effect.objects.values_list("event_id", "subscription"))
    books.effects = len(counts)
    books.add("lost effects", wanted - counts.keys())
    books.add("ghost effects", counts.keys() - wanted)
    books.add("doubled effects", _repeated(counts))


def _external_effects(books: Books, facts: dict[str, str], here: Installation) -> None:
    done: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for entry in journal.read(here.folder, journal.EFFECTS):
        done[entry["event_id"], entry["subscription"]].append(entry)
    wanted = set(_wanted(facts, "external"))
    books.external = len(done)
    books.add("lost external effects", wanted - done.keys())
    books.add("ghost external effects", done.keys() - wanted)
    keys = {name: {entry["key"] for entry in entries} for name, entries in done.items()}
    books.add("idempotency keys that differ", (name for name in keys if len(keys[name]) > 1))
    deeds = list(journal.read(here.folder, journal.DEEDS))
    repeats = [pair for entries in done.values() for pair in _pairs(entries)]
    books.repeated = len(repeats)
    books.add(
        "unexplained repeats of external effects",
        (pair for pair in repeats if not _explained(*pair, deeds, here.lease)),
    )


def _outcomes(books: Books, facts: dict[str, str], folder: Path) -> None:
    from taskrouting.models import DeadLetter, Delivery

    letters = DeadLetter.objects.values_list("event_id", "subscription", "reason")
    poisoned = {event_id for event_id, key in facts.items() if key == "work.poison"}
    books.poisoned = len(poisoned)
    expected = {(event_id, "poison", "crashed") for event_id in poisoned}
    counts = Counter(letters)
    books.add("stuck poison", expected - counts.keys())
    books.add("wrongly dead", counts.keys() - expected)
    books.add("doubled dead letters", _repeated(counts))
    recorded = journal.read(folder, journal.HANDLED)
    handled = Counter((entry["event_id"], entry["subscription"]) for entry in recorded)
    books.add("outcomes recorded twice", _repeated(handled))
    rows = Delivery.objects.exclude(state__in=ENDED)
    books.add("unfinished deliveries", rows.values_list("event_id", "subscription", "state"))


def _what_is_left(books: Books, here: Installation) -> None:
    from taskrouting.models import Message

    books.add("messages left in the store", Message.objects.values_list("queue", "event_id"))
    left = left_on_broker(here)
    books.add("messages left on the broker", (f"{left[name]} in {name}" for name in left))


def _copies(books: Books, folder: Path) -> None:
    """Where nothing is killed, cut or stopped, no copy comes twice to any queue."""
    deeds = {entry["deed"] for entry in journal.read(folder, journal.DEEDS)}
    if not any(word in deed for deed in deeds for word in UNCOMMON):
        books.add("unexplained copies", journal.read(folder, journal.DUPLICATES))


def _wanted(facts: dict[str, str], effects: str) -> Iterator[tuple[str, str]]:
    """Every (event, subscription) that must have left an effect."""
    from taskrouting.routing.subscriptions import registry

    subscriptions = [each for each in registry if each.ledger and each.effects == effects]
    by_key = {
        key: [each.name for each in subscriptions if each.wants(key)] for key in set(facts.values())
    }
    for event_id, key in facts.items():
        for name in by_key[key]:
            yield event_id, name


def left_on_broker(here: Installation) -> dict[str, int]:
    """What waits on a broker that is not the database, by queue."""
    from taskrouting import conf
    from taskrouting.routing import topology
    from taskrouting.transport import inspection
    from taskrouting.transport.broker import Broker

    broker = Broker(conf.current())
    if broker.can.embedded:
        return {}
    names = [queue.name for queue in topology.current().queues]
    with broker.connect() as connection:
        waiting = inspection.waiting(broker, connection, names)
    return {name: count for name, count in waiting.items() if count}


def expected_deliveries() -> int:
    """How many rows the ledger must have."""
    from django.db.models import Count

    from taskrouting.routing.subscriptions import registry

    from .models import Fact

    kinds = Fact.objects.values_list("routing_key").annotate(Count("pk")).order_by()
    subscriptions = [each for each in registry if each.ledger]
    return sum(count * sum(each.wants(key) for each in subscriptions) for key, count in kinds)


def _repeated(counts: Counter[Any]) -> Iterator[str]:
    return (f"{name} x {count}" for name, count in counts.items() if count > 1)


def _pairs(entries: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each repeat with the effect before it."""
    ordered = sorted(entries, key=lambda entry: entry["at"])
    return pairwise(ordered)


def _explained(
    first: dict[str, Any], again: dict[str, Any], deeds: list[dict[str, Any]], lease: float
) -> bool:
    """Did the first process die, stand still or lose the database before its outcome was known?"""
    for deed in deeds:
        began, ended = deed["at"] - SLACK, deed["at"] + deed.get("seconds", 0) + SLACK
        if began > again["at"] or ended < first["at"] - lease:
            continue
        if deed["deed"] in TO_DATABASE:
            return True
        if deed["deed"] in TO_PROCESSES and first["by"] in deed["pids"]:
            return True
    return False
