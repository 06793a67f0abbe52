"""How much has happened in this process? Counted as it happens, by listening to the signals.

Counting one delivery is a few increments under a lock, and nothing else on its way. What is counted
is exact; how long things took is noted of every one as long as there are few, and else of one in
``EVERY``, which then stands for as many: a percentile needs no more.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.dispatch import Signal

from taskrouting import signals
from taskrouting.events import Event
from taskrouting.transport.messages import OUTBOX

from .scale import step_of

#: How our own trouble with the database is called; where it is told, it would not be read.
WHERE = "database (figures)"

#: Outcomes of copies whose handler ran to an end.
RAN = frozenset({"handled", "retry", "dead", "discarded"})

#: Queue, subscription, measure and step.
Key = tuple[str, str, str, int]

#: Messages that wait in each queue.
Backlog = Mapping[str, int]


#: How many deliveries of a subscription are timed one by one, between two writes; and how many one
#: stands for beyond that.
FEW, EVERY = 250, 8


def _numbers() -> defaultdict[Any, int]:
    return defaultdict(int)


@dataclass(slots=True)
class Deliveries:
    """What became of the deliveries of one subscription, and in which steps their times are."""

    seen: int = 0
    outcomes: defaultdict[str, int] = field(default_factory=_numbers)
    latency: defaultdict[int, int] = field(default_factory=_numbers)
    duration: defaultdict[int, int] = field(default_factory=_numbers)

    def counts(self, queue: str, subscription: str) -> Iterator[tuple[Key, int]]:
        """Yield every count of it, by its key."""
        for outcome, count in self.outcomes.items():
            yield (queue, subscription, outcome, 0), count
        for measure, steps in (("latency", self.latency), ("duration", self.duration)):
            for step, count in steps.items():
                yield (queue, subscription, measure, step), count


@dataclass(slots=True)
class Counted:
    """What was counted and heard, and is not written yet."""

    counts: defaultdict[Key, int] = field(default_factory=_numbers)

    #: What is heard of each: for how long it has been wrong, and what; ``None`` when all is well.
    pulses: dict[str, tuple[timedelta, Exception] | None] = field(default_factory=dict)


class Tally:
    """Counts what the signals of this process tell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = Counted()
        self._deliveries: defaultdict[tuple[str, str], Deliveries] = defaultdict(Deliveries)

    def take(self) -> Counted:
        """Return what was counted, and begin anew."""
        with self._lock:
            taken, self._open = self._open, Counted()
            deliveries, self._deliveries = self._deliveries, defaultdict(Deliveries)
        for (queue, subscription), found in deliveries.items():
            for key, count in found.counts(queue, subscription):
                taken.counts[key] += count
        return taken

    def give_back(self, taken: Counted) -> None:
        """Count again what could not be written."""
        with self._lock:
            for key, count in taken.counts.items():
                self._open.counts[key] += count
            self._open.pulses = taken.pulses | self._open.pulses

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear the signals for a block."""
        heard: dict[Signal, Callable[..., None]] = {
            signals.delivery_finished: self.finished,
            signals.batch_handled: self.batch,
            signals.event_relayed: self.relayed,
            signals.relay_passed: self.passed,
            signals.fault_noticed: self.noticed,
            signals.fault_recovered: self.recovered,
        }
        for signal, receiver in heard.items():
            signal.connect(receiver, weak=False)
        try:
            yield
        finally:
            for signal, receiver in heard.items():
                signal.disconnect(receiver)

    def finished(
        self,
        *,
        event: Event,
        subscription: str,
        queue: str,
        outcome: str,
        duration: timedelta,
        # Named, though nobody reads them: Python then has no dict to make of them.
        signal: object = None,
        sender: object = None,
        attempt: int = 0,
        error: object = None,
        **carries: Any,
    ) -> None:
        """Count one delivery that has an outcome."""
        with self._lock:
            found = self._deliveries[queue, subscription]
            seen = found.seen
            found.seen = seen + 1
            found.outcomes[outcome] += 1
            if (seen < FEW or not seen % EVERY) and outcome in RAN:
                weight = 1 if seen < FEW else EVERY
                found.duration[step_of(duration.total_seconds())] += weight
                if outcome == "handled":
                    found.latency[step_of(time.time() - event.time.timestamp())] += weight

    def batch(
        self,
        *,
        subscription: str,
        queue: str,
        events: Sequence[Event],
        duration: timedelta,
        **carries: Any,
    ) -> None:
        """Count the events of a batch; they took their time together."""
        now, every = time.time(), 1 if len(events) <= FEW // EVERY else EVERY
        timed = [
            (step_of(now - events[number].time.timestamp()), min(every, len(events) - number))
            for number in range(0, len(events), every)
        ]
        with self._lock:
            found = self._deliveries[queue, subscription]
            found.duration[step_of(duration.total_seconds())] += 1
            found.outcomes["handled"] += len(events)
            for step, weight in timed:
                found.latency[step] += weight

    def relayed(self, *, queue: str, **carries: Any) -> None:
        """Count one event that left the outbox; retries on their way to a queue are none."""
        if queue == OUTBOX:
            with self._lock:
                self._open.counts[OUTBOX, "", "relayed", 0] += 1

    def passed(self, *, using: str, **carries: Any) -> None:
        """Note that a relay is at work."""
        with self._lock:
            self._open.pulses[relay_name(using)] = None

    def noticed(self, *, where: str, error: Exception, away: timedelta, **carries: Any) -> None:
        """Note a fault."""
        if where != WHERE:
            with self._lock:
                self._open.pulses[where] = (away, error)

    def recovered(self, *, where: str, **carries: Any) -> None:
        """Note that a fault is over."""
        if where != WHERE:
            with self._lock:
                self._open.pulses[where] = None

    def waiting(self, backlog: Backlog) -> None:
        """Count one look at what waits."""
        with self._lock:
            for queue, number in backlog.items():
                self._open.counts[queue, "", "backlog", 0] += number
                self._open.counts[queue, "", "looks", 0] += 1


def relay_name(using: str) -> str:
    """Return the name under which the relay of a database is heard."""
    return f"relay of {using!r}"
