"""Which deliveries may be forgotten? Those with a good end, after a while."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from taskrouting import conf
from taskrouting.dead_letters.pruning import delete_in_batches

from .models import Delivery

#: Outcomes that nobody has to act upon.
ENDED = (Delivery.State.HANDLED, Delivery.State.DISCARDED)


def prune(older_than: timedelta) -> int:
    """Delete deliveries handled or discarded longer ago than that; return how many.

    A copy of the event that arrives later still is then handled again, as if it were new.
    """
    deliveries = Delivery.objects.using(conf.current().database)
    return delete_in_batches(deliveries.filter(state__in=ENDED, finished_at__lt=Now() - older_than))
