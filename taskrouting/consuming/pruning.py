"""Which deliveries may be forgotten? Those with a good end, once no copy can come any more.

A delivery that was forgotten is handled again when another copy of its event arrives. So one stays
as long as anything of its event is about: a message that waits in the database, or a dead letter
that may be redriven, or was so lately.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import Q

from taskrouting import conf
from taskrouting.dead_letters.models import DeadLetter
from taskrouting.dead_letters.pruning import Step, steps
from taskrouting.transport.models import Message

from .models import Delivery

#: Outcomes that nobody has to act upon.
ENDED = (Delivery.State.HANDLED, Delivery.State.DISCARDED)


def prune(before: datetime) -> Iterator[Step]:
    """Delete deliveries that were handled or discarded ``before`` that, step by step."""
    deliveries = Delivery.objects.using(conf.current().database)
    return steps(deliveries, "received_at", before, partial(_delete, before))


def _delete(before: datetime, keys: Sequence[int]) -> int:
    rows = Delivery.objects.using(conf.current().database)
    ended = rows.filter(pk__in=keys, state__in=ENDED, finished_at__lt=before)
    events = dict(ended.values_list("pk", "event_id"))
    about = _about(set(events.values()), before)
    # A good end is for good, so the keys say all; two lists cost PostgreSQL 60 times one.
    return int(rows.filter(pk__in=[key for key in events if events[key] not in about]).delete()[0])


def _about(events: set[str], before: datetime) -> set[str]:
    """Those of ``events`` of which there is more than deliveries.

    Dead letters first: a redrive meanwhile turns one into a message, and not the other way round.
    """
    settings = conf.current()
    recent = Q(resolved_at=None) | Q(resolved_at__gte=before)
    tables: list[Any] = [DeadLetter.objects.using(settings.database).filter(recent)]
    tables += [Message.objects.using(alias) for alias in settings.databases]
    found = (
        table.filter(event_id__in=events).values_list("event_id", flat=True) for table in tables
    )
    return set().union(*found)
