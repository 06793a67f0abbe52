"""When is a batch full? When it has its size, or its first message has waited long enough."""

from __future__ import annotations

import time
from collections.abc import Callable

from taskrouting.routing.subscriptions import registry
from taskrouting.transport.messages import Arrival

HandOver = Callable[[list[Arrival]], None]


class Collector:
    """Collects the messages of batch subscriptions, by queue, and hands each batch over."""

    def __init__(self, hand_over: HandOver) -> None:
        #: What the batch subscription of each queue asks for, where there is one.
        self.batches = {each.queue: each.batch for each in registry if each.batch}
        self._hand_over = hand_over
        self._collected: dict[str, list[Arrival]] = {}
        self._due: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._collected)

    def add(self, arrival: Arrival) -> None:
        """Collect one message; hand the batch over if that filled it."""
        batch = self.batches[arrival.queue]
        collected = self._collected.setdefault(arrival.queue, [])
        collected.append(arrival)
        self._due.setdefault(arrival.queue, time.monotonic() + batch.wait.total_seconds())
        if len(collected) >= batch.size:
            self._flush(arrival.queue)

    def flush(self) -> None:
        """Hand over the batches that have waited long enough."""
        now = time.monotonic()
        for queue in [queue for queue, due in self._due.items() if due <= now]:
            self._flush(queue)

    def next_due(self) -> float | None:
        """Seconds until a batch is due; ``None`` when nothing is collected."""
        return min(self._due.values()) - time.monotonic() if self._due else None

    def withdraw(self) -> list[Arrival]:
        """Take back what has been collected."""
        collected = [arrival for arrivals in self._collected.values() for arrival in arrivals]
        self._collected.clear()
        self._due.clear()
        return collected

    def _flush(self, queue: str) -> None:
        del self._due[queue]
        self._hand_over(self._collected.pop(queue))
