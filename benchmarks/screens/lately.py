"""What happened in the last day, and who is alive? Made anew for every run: it ages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product

from django.db import connection
from django.utils import timezone

from taskrouting.instruments.figures import KEPT
from taskrouting.models import Figure, Pulse, WorkerProcess
from taskrouting.transport.store import OUTBOX

from .installation import QUEUES, SUBSCRIPTIONS, queue_of

#: The steps of the scale on which lengths of time are counted, as many as are met in a minute.
LATENCIES, DURATIONS = range(4, 12), range(2, 8)


def freshen() -> None:
    """Make anew what tells of this hour: figures, and who is alive."""
    for table in (Figure, WorkerProcess, Pulse):
        table.objects.all().delete()
    _figures()
    _processes()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE taskrouting_figure")


def _figures() -> None:
    """A day's figures of all subscriptions, in minutes and quarters as they are kept."""
    measures = [("handled", 0), ("retry", 0), ("dead", 0), ("discarded", 0)]
    measures += [("latency", step) for step in LATENCIES]
    measures += [("duration", step) for step in DURATIONS]
    rows = []
    for span, since in _stretches():
        given = {"span": span, "since": since, "count": span}
        for number, (measure, step) in product(range(SUBSCRIPTIONS), measures):
            named = {"queue": queue_of(number), "subscription": f"s{number}", "measure": measure}
            rows.append(Figure(step=step, **named, **given))
        for queue, measure in product(
            [*map(queue_of, range(QUEUES)), OUTBOX], ["backlog", "looks"]
        ):
            rows.append(Figure(queue=queue, measure=measure, **given))
    Figure.objects.bulk_create(rows, batch_size=5000)


def _stretches() -> Iterator[tuple[int, datetime]]:
    """When each stretch of time began of which figures are kept."""
    now = timezone.now().timestamp()
    for span, kept in KEPT.items():
        for number in range(int(kept / timedelta(seconds=span))):
            yield span, datetime.fromtimestamp(now // span * span - number * span, tz=UTC)


def _processes() -> None:
    """Twenty workers and a relay, all alive."""
    queues = [queue_of(number) for number in range(QUEUES)]
    WorkerProcess.objects.bulk_create(
        WorkerProcess(name=f"w-{number}", host="shop", pid=number, version="1", queues=queues,
                      threads=8, busy=3, in_hand=5, memory=10**8)
        for number in range(20)
    )  # fmt: skip
    Pulse.objects.bulk_create(
        Pulse(name=name) for name in ["relay default", *(f"worker w-{n}" for n in range(20))]
    )
