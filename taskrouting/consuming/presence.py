"""Which worker processes are alive, and what do they subscribe? Each says so, in a row of its own.

Workers of two releases run beside each other while a deployment rolls on. The rows are how one
learns that another knows a subscription that it does not know itself.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import chain
from typing import Any
from uuid import uuid4

from django.db.models.functions import Now
from django.utils import timezone

from taskrouting import __version__, conf, topics
from taskrouting.routing.subscriptions import registry
from taskrouting.transport.messages import Arrival

from .models import WorkerProcess

#: Rows of workers that have not been heard of for this long were left by processes that died.
FORGOTTEN = timedelta(days=1)

#: For how many leases a message is left to a worker that is silent: it may be very busy.
HOPED_FOR = 3


class Presence:
    """One worker process, as the others see it."""

    def __init__(self, queues: Sequence[str], threads: int) -> None:
        self._host = socket.gethostname()
        self.name = f"{self._host}:{os.getpid()}:{uuid4().hex[:6]}"[-255:]
        self._queues = list(queues)
        self._threads = threads

    def beat(self) -> None:
        """Say that this process is alive; forget those that died long ago."""
        workers = _workers()
        known = workers.filter(name=self.name).update(seen_at=Now())
        if not known:
            # Two threads may come here at once, and one row is enough.
            workers.bulk_create([self._row()], ignore_conflicts=True)
            workers.filter(seen_at__lt=timezone.now() - FORGOTTEN).delete()

    def leave(self) -> None:
        """Say goodbye."""
        _workers().filter(name=self.name).delete()

    def _row(self) -> WorkerProcess:
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
        )


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
