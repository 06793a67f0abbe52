"""What is measured, and under which names? Counted here in plain numbers, and rendered elsewhere.

Labels have few values: queues, subscriptions, outcomes and reasons are named by the code; routing
keys, ids and hosts are not, so none of them is a label. Durations are in seconds.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from taskrouting import around, signals
from taskrouting.events import Event
from taskrouting.routing.subscriptions import Subscription

#: Upper bounds of a histogram's buckets, in seconds; the last one has none.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


@dataclass(frozen=True, slots=True)
class Metric:
    """A counter, histogram or gauge: what it means, and the names of its labels."""

    kind: str
    meaning: str
    labels: tuple[str, ...] = ()


#: What a worker process counts, by its name without the ending that its kind gives it.
COUNTED = {
    "taskrouting_deliveries": Metric(
        "counter",
        "Copies of events that have their outcome, those of batches too.",
        ("queue", "subscription", "outcome"),
    ),
    "taskrouting_dead_letters_kept": Metric(
        "counter", "Dead letters that were written.", ("queue", "reason")
    ),
    "taskrouting_events_published": Metric(
        "counter", "Events published by handlers in these processes."
    ),
    "taskrouting_events_relayed": Metric(
        "counter", "Events from the outbox that the broker took responsibility for."
    ),
    "taskrouting_relay_batches": Metric(
        "counter", "Batches handed to the broker: confirmed, or failed.", ("outcome",)
    ),
    "taskrouting_faults": Metric(
        "counter", "Attempts that found broker or database away.", ("where",)
    ),
    "taskrouting_processes_started": Metric(
        "counter", "Worker processes started, first ones and those in the place of others."
    ),
    "taskrouting_handler_duration_seconds": Metric(
        "histogram", "How long a handler ran.", ("subscription",)
    ),
    "taskrouting_delivery_lag_seconds": Metric(
        "histogram", "Age of an event when its handler first ran.", ("queue",)
    ),
    "taskrouting_publish_confirm_seconds": Metric(
        "histogram", "How long the broker took to take a batch."
    ),
    "taskrouting_deliveries_in_progress": Metric("gauge", "Handlers that run.", ("subscription",)),
}

Series = tuple[str, ...]


class Counts:
    """What one process has counted, and those who had its seat before."""

    def __init__(self, before: dict[str, Any] | None = None) -> None:
        """Go on from ``before``, an earlier process's ``as_json()``."""
        told = before or {}
        #: By the metric's name and its labels' values.
        self.counters = Counter({tuple(key): value for key, value in told.get("counters", [])})
        #: For each, how many were in each bucket, and their sum at the end.
        self.histograms = {tuple(key): list(values) for key, values in told.get("histograms", [])}
        #: Of this process only: what an earlier one was in the middle of is over.
        self.gauges: Counter[Series] = Counter()
        self._lock = threading.Lock()
        self.add("taskrouting_processes_started")

    def add(self, *series: str, number: float = 1) -> None:
        """Count ``number`` more."""
        with self._lock:
            self.counters[series] += number  # type: ignore[assignment]  # whole so far

    def observe(self, *series: str, seconds: float) -> None:
        """Put one duration into its bucket."""
        with self._lock:
            values = self.histograms.setdefault(series, [0] * (len(BOUNDS) + 1) + [0.0])
            values[bisect_left(BOUNDS, seconds)] += 1
            values[-1] += seconds

    def shift(self, *series: str, by: int) -> None:
        """Move a gauge."""
        with self._lock:
            self.gauges[series] += by

    def as_json(self) -> dict[str, Any]:
        """Return everything, in values that JSON has."""
        with self._lock:
            return {
                "counters": list(self.counters.items()),
                "histograms": [(key, list(values)) for key, values in self.histograms.items()],
                "gauges": list(self.gauges.items()),
            }


class Meter:
    """Counts what the milestones of one process tell. Keep it: who forgets it counts no more."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        signals.delivery_finished.connect(self._finished)
        signals.batch_handled.connect(self._batch)
        signals.dead_letter_kept.connect(self._dead)
        signals.event_published.connect(self._published)
        signals.event_relayed.connect(self._relayed)
        signals.fault_noticed.connect(self._fault)
        around.handling.append(self._handling)
        around.sending.append(self._sending)

    def _finished(
        self,
        *,
        event: Event,
        queue: str,
        subscription: str,
        attempt: int,
        outcome: str,
        duration: timedelta,
        **carries: Any,
    ) -> None:
        self._counts.add("taskrouting_deliveries", queue, subscription, outcome)
        if attempt == 1:  # a duplicate has none
            age = (datetime.now(UTC) - event.time - duration).total_seconds()
            self._counts.observe("taskrouting_delivery_lag_seconds", queue, seconds=max(age, 0.0))

    def _batch(self, *, queue: str, subscription: str, count: int, **carries: Any) -> None:
        self._counts.add("taskrouting_deliveries", queue, subscription, "handled", number=count)

    def _dead(self, *, queue: str, reason: str, **carries: Any) -> None:
        self._counts.add("taskrouting_dead_letters_kept", queue, str(reason))

    def _published(self, **carries: Any) -> None:
        self._counts.add("taskrouting_events_published")

    def _relayed(self, **carries: Any) -> None:
        self._counts.add("taskrouting_events_relayed")

    def _fault(self, *, where: str, **carries: Any) -> None:
        """The first word says whose loop it is; the others name this very process."""
        self._counts.add("taskrouting_faults", where.partition(" ")[0])

    def _handling(self, subscription: Subscription, events: Sequence[Event]) -> _Run:
        return _Run(self._counts, subscription.name)

    @contextmanager
    def _sending(self, messages: Sequence[object]) -> Iterator[None]:
        began, outcome = perf_counter(), "failed"
        try:
            yield
            outcome = "confirmed"
        finally:
            self._counts.add("taskrouting_relay_batches", outcome)
            self._counts.observe(
                "taskrouting_publish_confirm_seconds", seconds=perf_counter() - began
            )


class _Run:
    """A handler that runs. A class, since it is entered for every message."""

    __slots__ = ("_began", "_counts", "_name")

    def __init__(self, counts: Counts, name: str) -> None:
        self._counts = counts
        self._name = name

    def __enter__(self) -> None:
        self._counts.shift("taskrouting_deliveries_in_progress", self._name, by=1)
        self._began = perf_counter()

    def __exit__(self, *raised: object) -> None:
        seconds = perf_counter() - self._began
        self._counts.shift("taskrouting_deliveries_in_progress", self._name, by=-1)
        self._counts.observe("taskrouting_handler_duration_seconds", self._name, seconds=seconds)
