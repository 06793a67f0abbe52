"""What happens to messages that wait beside each other? One transaction for all: group commit.

A commit costs more than most handlers. So a thread takes what waits, never waiting for more, claims
all of it with one INSERT, runs the handlers one after another, writes their outcomes with one
UPDATE and commits once. When anything fails, nothing of that has happened, and they run one after
another, each in a transaction of its own: each keeps its own fate. Suspects and addressed copies
never join.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import transaction

from taskrouting import conf
from taskrouting.exceptions import HandlerTimeout
from taskrouting.routing.subscriptions import registry
from taskrouting.transport.messages import Arrival

from . import claims, faults, ledger
from .attempts import HANDLER_ERRORS, Attempt
from .claims import Claim, Copy
from .delivery import copy_of, costing_only_itself, deliver, open_message
from .judging import Outcome
from .settling import settle_all
from .site import Site, database, isolate_on_commit
from .turns import in_turn


@dataclass(frozen=True, slots=True)
class Member:
    """One message of a group: what arrived, and a copy for every subscription that wants it."""

    arrival: Arrival
    copies: Sequence[Copy]


@dataclass(slots=True)
class Done:
    """What one transaction did."""

    members: list[Member] = field(default_factory=list)
    told: list[tuple[Attempt, Outcome]] = field(default_factory=list)
    results: list[tuple[Claim, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a group ended: what there was no time for, and whether all that began went together."""

    left: Sequence[Arrival]
    together: bool


def takes(queue: str) -> bool:
    """Say whether messages of ``queue`` may run in groups: all its handlers write here only."""
    wanting = registry.on_queue(queue)
    return conf.current().group_size > 1 and all(
        each.effects == "database" and each.batch is None and each.ledger for each in wanting
    )


def joins(arrival: Arrival) -> bool:
    """Say whether one message may run with others: it is new, and nobody's in particular."""
    return not arrival.redelivered and arrival.token is None


def run(arrivals: Sequence[Arrival], site: Site) -> Ended:
    """Take messages of one queue to their outcomes, together if that can be.

    No handler is begun when ``GROUP_TIME`` is over. Raises DatabaseAway when the database is away:
    what is not settled can be handed back.
    """
    if len(arrivals) == 1:
        deliver(arrivals[0], site)
        return Ended([], together=True)
    opened = [costing_only_itself(_opened, each, site, instead=None) for each in arrivals]
    members = [member for member in opened if member is not None]
    done = _handled(members, site)
    if done is None:
        return Ended(_each_alone([member.arrival for member in members], site), together=False)
    for attempt, outcome in done.told:
        attempt.tell(outcome)
    settle_all([member.arrival for member in done.members], site)
    return Ended([member.arrival for member in members[len(done.members) :]], together=True)


def _each_alone(arrivals: Sequence[Arrival], site: Site) -> Sequence[Arrival]:
    """Deliver one after another, for as long as a group may take; return who is left."""
    until = _time_is_over()
    for number, arrival in enumerate(arrivals):
        if number and (time.monotonic() > until or site.leaving.is_set()):
            return arrivals[number:]
        deliver(arrival, site)
    return []


def _time_is_over() -> float:
    return time.monotonic() + conf.current().group_time.total_seconds()


def _opened(arrival: Arrival, site: Site) -> Member | None:
    """Open one message; None if it was dealt with otherwise."""
    event, wanted = open_message(arrival, site) or (None, [])
    if event is None or not wanted:
        return None
    return Member(arrival, [copy_of(arrival, event, each) for each in wanted])


def _handled(members: Sequence[Member], site: Site) -> Done | None:
    """Handle what there is time for in one transaction; None: it failed and nothing happened."""
    try:
        return faults.resolutely(lambda: _handle(members, site))
    except faults.Contended:
        return None
    except faults.DatabaseAway:
        raise
    except HANDLER_ERRORS as error:
        faults.blame(error, site.leaving)
        return None


def _handle(members: Sequence[Member], site: Site) -> Done:
    copies = [copy for member in members for copy in member.copies]
    overrun = partial(_overrun, copies, site)
    done = Done()
    with in_turn(), transaction.atomic(using=database()):
        with claims.briefly():
            claimed = {claims.key(each): each for each in claims.claim_many(copies, site.worker)}
        until = _time_is_over()
        for member in members:
            if done.members and time.monotonic() > until:
                break
            for copy in member.copies:
                attempt, claim = Attempt(copy, site), claimed.pop(claims.key(copy), None)
                if claim is not None:
                    done.results.append((claim, attempt.handle(claim, overrun)))
                done.told.append((attempt, Outcome.HANDLED if claim else Outcome.DUPLICATE))
            done.members.append(member)
        ledger.forget(list(claimed.values()))
        ledger.succeed_many([claim for claim, result in done.results if result is None])
        for claim, result in done.results:
            if result is not None:
                ledger.succeed(claim, result)
        isolate_on_commit()
    return done


def _overrun(copies: Sequence[Copy], site: Site, error: HandlerTimeout) -> None:
    """A handler does not end, and holds the transaction of all: each runs alone from now on."""
    faults.resolutely(partial(ledger.set_apart, copies, site.worker))
