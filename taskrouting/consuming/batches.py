"""What happens to many messages together? The same pipeline for batch subscriptions.

Everything that runs together commits together. When a batch fails it is split in halves until the
culprit is alone: only that one is charged an attempt, the rest commit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from taskrouting import masking, signals
from taskrouting.dead_letters import records
from taskrouting.events import Event
from taskrouting.exceptions import HandlerTimeout, Snooze
from taskrouting.routing.subscriptions import Subscription
from taskrouting.transport.messages import Arrival

from . import claims, faults, ledger
from .attempts import HANDLER_ERRORS, SOON, Attempt
from .calling import call
from .claims import ClaimHeld, Copy
from .delivery import copy_of, costing_only_itself, open_message, put_off
from .judging import Reason
from .settling import settle, settle_all
from .site import Site, database, isolate_on_commit
from .turns import in_turn


@dataclass(frozen=True, slots=True)
class Item:
    """One message of a batch: what arrived, and the copy for its subscription."""

    arrival: Arrival
    copy: Copy


def deliver(arrivals: Sequence[Arrival], site: Site) -> None:
    """Take several messages of one batch subscription's queue to their outcomes.

    Raises DatabaseAway when the database is away: what is not settled can be handed back.
    """
    together: dict[str, list[Item]] = {}
    for arrival in arrivals:
        for item in costing_only_itself(_opened, arrival, site, instead=list[Item]()):
            together.setdefault(item.copy.subscription.name, []).append(item)
    for items in together.values():
        _run_together(items, site)
        settle_all([item.arrival for item in items], site)


def _opened(arrival: Arrival, site: Site) -> list[Item]:
    """Open one message; run what must go alone, and return what may go together."""
    event, wanted = open_message(arrival, site) or (None, [])
    items = [Item(arrival, copy_of(arrival, event, each)) for each in wanted if event]
    alone = [item for item in items if _must_go_alone(arrival, item.copy.subscription)]
    for item in alone:
        _run_alone(item, site)
    return [item for item in items if item not in alone]


def _must_go_alone(arrival: Arrival, subscription: Subscription) -> bool:
    """Suspects and addressed copies run as deliveries of their own; the audit log has neither."""
    return subscription.ledger and (arrival.redelivered or arrival.token is not None)


def _run_alone(item: Item, site: Site) -> None:
    try:
        Attempt(item.copy, site).leased(lambda: settle(item.arrival, site))
    except ClaimHeld as error:
        put_off(item.arrival, item.copy.event, site, error)


def _run_together(items: Sequence[Item], site: Site) -> None:
    """Run one batch in one transaction; a failing one is split to find the culprit."""
    try:
        faults.resolutely(lambda: _handle(items, site))
    except faults.Contended as error:
        if not items[0].copy.subscription.ledger:
            raise  # nothing but our own INSERT: there is nobody to put off
        _split(items, Snooze(SOON, str(error)), site)
    except faults.DatabaseAway:
        raise
    except HANDLER_ERRORS as error:
        faults.blame(error, site.leaving)
        _split(items, error, site)


def _split(items: Sequence[Item], error: BaseException, site: Site) -> None:
    """Try each half again; one that is alone has found itself to be the culprit."""
    if len(items) > 1:
        middle = len(items) // 2
        _run_together(items[:middle], site)
        _run_together(items[middle:], site)
    else:
        _fail(items[0], error, site)


def _handle(items: Sequence[Item], site: Site) -> None:
    subscription = items[0].copy.subscription
    began = time.monotonic()
    with in_turn(), transaction.atomic(using=database()):
        if subscription.ledger:
            taken = claims.claim_many([item.copy for item in items], site.worker)
            fresh: list[Event] = [claim.event for claim in taken]
        else:
            taken, fresh = [], [item.copy.event for item in items]
        if fresh:
            call(subscription, fresh, None, site, lambda error: _overrun(items, error, site))
        ledger.succeed_many(taken)
        isolate_on_commit()
    signals.emit(
        signals.batch_handled,
        Attempt,
        subscription=subscription.name,
        queue=items[0].arrival.queue,
        count=len(fresh),
        events=fresh,
        duration=timedelta(seconds=time.monotonic() - began),
    )


def _overrun(items: Sequence[Item], error: HandlerTimeout, site: Site) -> None:
    """A batch does not end: one message is charged; of many, each runs alone from now on."""
    if len(items) == 1:
        _fail(items[0], error, site)
        return

    if items[0].copy.subscription.ledger:
        copies = [item.copy for item in items]
        faults.resolutely(lambda: ledger.set_apart(copies, site.worker))


def _fail(item: Item, error: BaseException, site: Site) -> None:
    """Charge the culprit: an attempt in the ledger, or a dead letter where it has no ledger."""
    if item.copy.subscription.ledger:
        Attempt(item.copy, site).failed(error)
        return
    message = ledger.message_of(item.copy)
    text = masking.without_values(f"{type(error).__name__}: {error}", item.copy.event.data)
    faults.resolutely(lambda: records.keep_message(message, Reason.REJECTED, text))
