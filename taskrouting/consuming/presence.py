"""Which worker processes are alive, and what do they subscribe? Each says so, in a row of its own.

Workers of two releases run beside each other while a deployment rolls on. The rows are how one
learns that another knows a subscription that it does not know itself.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import chain
from typing import Any
from uuid import uuid4

from django.db.models.functions import Now
from django.utils import timezone

from taskrouting import __version__, conf, topics
from taskrouting.routing.subscriptions import registry
from taskrouting.transport.messages import Arrival

from .models import Delivery, WorkerProcess

#: Rows of workers that have not been heard of for this long were left by processes that died.
FORGOTTEN = timedelta(days=1)

#: For how many leases a message is left to a worker that is silent: it may be very busy.
HOPED_FOR = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much a worker process has to do just now."""

    #: Threads that run handlers.
    busy: int | None = None

    #: Messages that were taken and are not settled, and deliveries that run under a lease.
    in_hand: int | None = None

    #: Bytes of resident memory.
    memory: int | None = None


class Presence:
    """One worker process, as the others see it."""

    def __init__(
        self, queues: Sequence[str], threads: int, measure: Callable[[], Load] = Load
    ) -> None:
        """``measure`` is asked at every beat, in whatever thread that is."""
        self._host = socket.gethostname()
        self.name = f"{self._host}:{os.getpid()}:{uuid4().hex[:6]}"[-255:]
        self._queues = list(queues)
        self._threads = threads
        self._measure = measure

    def beat(self) -> None:
        """Say that this process is alive; forget those that died long ago."""
        workers = _workers()
        load = asdict(self._measure())
        known = workers.filter(name=self.name).update(seen_at=Now(), **load)
        if not known:
            # Two threads may come here at once, and one row is enough.
            workers.bulk_create([self._row(load)], ignore_conflicts=True)
            workers.filter(seen_at__lt=timezone.now() - FORGOTTEN).delete()

    def leave(self) -> None:
        """Say goodbye."""
        _workers().filter(name=self.name).delete()

    def _row(self, load: Mapping[str, Any]) -> WorkerProcess:
        return WorkerProcess(
            name=self.name,
            host=self._host[:255],
            pid=os.getpid(),
            version=__version__,
            queues=self._queues,
            subscriptions={
                queue: {each.name: list(each.patterns) for each in registry.on_queue(queue)}
                for queue in self._queues
            },
            threads=self._threads,
            **load,
        )


def serving() -> Counter[str]:
    """Count the worker processes that are alive, by the queues that they consume."""
    alive = _workers().filter(seen_at__gte=Now() - conf.current().lease)
    return Counter(chain.from_iterable(alive.values_list("queues", flat=True)))


def ask(worker: str, order: str, actor: str) -> bool:
    """Ask a worker process for something; return False when it is gone, or was asked before."""
    others = _workers().filter(name=worker).exclude(order=order)
    return bool(others.update(order=order, ordered_by=actor))


def ordered(worker: str) -> str:
    """Return what a worker process was asked for; empty if nothing."""
    return _workers().filter(name=worker).values_list("order", flat=True).first() or ""


def running(worker: WorkerProcess, most: int) -> list[Delivery]:
    """Return up to ``most`` deliveries that ``worker`` runs, and that others can see, oldest first.

    Those are the ones that run under a lease: what commits with its outcome is seen with it. One
    short walk along the index of unhandled deliveries for each of the worker's subscriptions.
    """
    names = {name for subscribed in worker.subscriptions.values() for name in subscribed}
    rows = Delivery.objects.using(conf.current().database).filter(
        subscription__in=names, state=Delivery.State.RUNNING, worker=worker.name
    )
    # Said twice, since SQLite knows the index by its own words only.
    rows = rows.exclude(state=Delivery.State.HANDLED).defer("errors", "result")
    return list(rows.order_by("started_at", "pk")[:most])


def wanted_elsewhere(arrival: Arrival) -> bool:
    """Say whether a worker that is likely alive knows a subscription that wants ``arrival``."""
    alive = _workers().filter(seen_at__gte=Now() - HOPED_FOR * conf.current().lease)
    known = alive.values_list("subscriptions", flat=True)
    return any(_wants(each.get(arrival.queue, {}), arrival) for each in known)


def _wants(subscriptions: Mapping[str, Sequence[str]], arrival: Arrival) -> bool:
    if arrival.subscription is not None:
        return arrival.subscription in subscriptions
    patterns = chain.from_iterable(subscriptions.values())
    return any(topics.matches(pattern, arrival.routing_key) for pattern in patterns)


def _workers() -> Any:
    return WorkerProcess.objects.using(conf.current().database)
