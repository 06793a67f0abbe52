"""How much was there to do lately? Read from what all processes have counted."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Sum
from django.db.models.functions import Now

from .figures import MINUTE
from .models import Figure

Measure = Figure.Measure

#: Attempts that failed, and all that ended; what is snoozed or a duplicate is neither.
FAILED = (Measure.RETRY, Measure.DEAD)
ENDED = (Measure.HANDLED, Measure.DISCARDED, *FAILED)


def last_hour(*, using: str) -> dict[str, int]:
    """How many attempts of each queue's subscriptions have ended in the last hour."""
    lately = Figure.objects.using(using).filter(
        span=MINUTE, since__gt=Now() - timedelta(hours=1), measure__in=ENDED
    )
    totals = lately.values("queue").annotate(total=Sum("count")).order_by()
    return dict(totals.values_list("queue", "total"))
