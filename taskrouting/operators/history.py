"""How does an operator forget what is done with? And how long must it be remembered?

The ledger recognises another copy of an event only as long as it remembers the first. How late one
may come is the sum of what can hold it back, one after the other:

=============  ==================================================================================
the outbox     sends again what was not received, after up to ``LATEST_RESEND``
the broker     hands out again what a worker has taken and not settled (``Broker.hands_out_after``)
a retry        waits for its turn, up to the longest ``Retry(ceiling=)`` of all subscriptions
=============  ==================================================================================

What waits for longer (an event published for later, a snooze, a dead letter) is in the database,
and is looked for there. How long foreign producers send again, nobody here knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.db import models, transaction
from django.db.models.functions import Now

from taskrouting import conf
from taskrouting.consuming import pruning as deliveries
from taskrouting.consuming.models import Delivery
from taskrouting.dead_letters import pruning as dead_letters
from taskrouting.dead_letters.models import DeadLetter, Sweep
from taskrouting.dead_letters.pruning import Step
from taskrouting.publishing.keeping import LATEST_RESEND
from taskrouting.routing.subscriptions import registry
from taskrouting.transport import broker

from .telling import PRUNED, acting, tell

DAY = timedelta(days=1)

#: What is forgotten, and by which walk through its table.
WALKS: dict[type[models.Model], Any] = {
    Delivery: deliveries.prune,
    DeadLetter: dead_letters.prune,
    Sweep: dead_letters.prune_sweeps,
}


def prune(
    older_than: timedelta, *, actor: str | None = None
) -> Iterator[tuple[type[models.Model], Step]]:
    """Delete what ended longer ago than ``older_than``, step by step as the result is iterated.

    That is deliveries that were handled or discarded, dead letters that were resolved, and sweeps
    that ended. Each step commits by itself, so that it may be left at any point. That it was done
    is told with the first row that goes.

    Raises ValueError when a copy of so young an event may still come, and says what is old enough.
    """
    longest = _longest_ceiling()
    held_back = LATEST_RESEND + broker.current().hands_out_after + longest
    if older_than < held_back:
        raise ValueError(
            f"{older_than} is too young to be forgotten: for {held_back} another copy of an event "
            f"may come, and would be handled again. The outbox sends again after up to "
            f"{LATEST_RESEND}, the broker hands out again after {broker.current().hands_out_after},"
            f" and a retry waits up to {longest} (the longest Retry(ceiling=) of your "
            f"subscriptions). Keep at least {ceil(held_back / DAY)} days."
        )
    return _steps(older_than, actor)


def _steps(older_than: timedelta, actor: str | None) -> Iterator[tuple[type[models.Model], Step]]:
    told = False
    for model, walk in WALKS.items():
        before = _ago(model, older_than)
        steps = walk(before) if before else iter(())
        while (step := _step(steps, None if told else older_than, actor)) is not None:
            told = told or bool(step.deleted)
            yield model, step


def _step(steps: Iterator[Step], tell_of: timedelta | None, actor: str | None) -> Step | None:
    """Take one step in a transaction, and tell of it there if it is the first that deletes."""
    with acting(actor), transaction.atomic(using=conf.current().database):
        step = next(steps, None)
        if step and step.deleted and tell_of:
            tell(PRUNED, {"older_than_days": tell_of / DAY})
    return step


def _ago(model: type[models.Model], age: timedelta) -> datetime | None:
    """What time it was ``age`` ago by the database's clock; ``None`` if the table is empty."""
    rows = model._default_manager.using(conf.current().database)
    now = rows.annotate(now=Now()).order_by("pk").values_list("now", flat=True).first()
    return now - age if now else None


def _longest_ceiling() -> timedelta:
    return max((each.retry.ceiling for each in registry), default=timedelta(0))
