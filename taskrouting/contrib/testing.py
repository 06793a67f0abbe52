"""How do you test against taskrouting? See what a block published; run the subscribers inline.

Both work inside the transaction of a plain ``TestCase``, without a broker or a worker::

    with capture_events() as published:
        Video.objects.create(title="Bunny")
    published.assert_published("video.upload", times=1)

    run_subscribers()      # codec, routing, ledger, handlers, audit log: the real ones
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connections, transaction

from taskrouting import conf, signals, topics
from taskrouting.consuming import batches, delivery
from taskrouting.consuming.judging import Outcome
from taskrouting.consuming.site import Site
from taskrouting.events import Event
from taskrouting.publishing import publisher
from taskrouting.routing.subscriptions import registry
from taskrouting.transport import receiving, routes, store
from taskrouting.transport.messages import OUTBOX, Arrival
from taskrouting.transport.store import Claimed

#: Messages delivered by one ``run_subscribers()`` before it says that they cause each other.
MOST = 10_000

LEASE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Published:
    """The events a block published and did not roll back, in order."""

    events: list[Event]

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    def matching(self, pattern: str) -> list[Event]:
        """Return the events whose routing key matches ``pattern``."""
        return [event for event in self.events if topics.matches(pattern, event.routing_key)]

    def assert_published(self, pattern: str, *, times: int | None = None) -> list[Event]:
        """Fail unless events matching ``pattern`` were published (exactly ``times``, if given).

        Returns them, for a closer look.
        """
        found = self.matching(pattern)
        keys = ", ".join(event.routing_key for event in self.events) or "nothing"
        if times is None and not found:
            raise AssertionError(f"Nothing matching {pattern!r} was published, but {keys}.")
        if times is not None and len(found) != times:
            raise AssertionError(
                f"{len(found)} events matching {pattern!r} were published, not {times}. "
                f"Published: {keys}."
            )
        return found

    def assert_nothing_published(self, pattern: str = "#") -> None:
        """Fail if an event matching ``pattern`` was published."""
        self.assert_published(pattern, times=0)


@dataclass(frozen=True, slots=True)
class Run:
    """What one subscription did with one event."""

    event: Event
    subscription: str
    outcome: Outcome
    error: BaseException | None


@contextmanager
def capture_events() -> Iterator[Published]:
    """Capture what the block publishes; what a savepoint rolled back is left out at its end."""
    seen: list[_Witness] = []

    def witness(*, event: Event, using: str, **carries: Any) -> None:
        found = _Witness(event, using)
        transaction.on_commit(found, using=using)
        seen.append(found)

    published = Published([])
    signals.event_published.connect(witness, weak=False)
    try:
        yield published
    finally:
        signals.event_published.disconnect(witness)
        published.events.extend(each.event for each in seen if each.stands())


def run_subscribers(*, wait_for_delays: bool = False) -> list[Run]:
    """Deliver everything that waits, and what that causes, to its subscribers; in this thread.

    Messages go through the real codec, routing, ledger and handlers. A failing handler does not
    raise here: look at the outcomes, or at ``error``. Retries and delayed events that are not due
    stay, unless ``wait_for_delays`` (which does not wait: it makes them due).
    """
    runs: list[Run] = []

    def finished(
        *, event: Event, subscription: str, outcome: str, error: BaseException | None, **more: Any
    ) -> None:
        runs.append(Run(event, subscription, Outcome(outcome), error))

    signals.delivery_finished.connect(finished, weak=False)
    try:
        for _ in range(MOST):
            if wait_for_delays:
                store.hasten(using=conf.current().database)
            if not _deliver_once():
                return runs
    finally:
        signals.delivery_finished.disconnect(finished)
    raise AssertionError(f"Still busy after {MOST} rounds: do handlers publish to themselves?")


class _Witness:
    """Stands in a transaction's list of callbacks for as long as the event does."""

    def __init__(self, event: Event, using: str) -> None:
        self.event = event
        self._using = using
        self._committed = False

    def __call__(self) -> None:
        self._committed = True

    def stands(self) -> bool:
        """Say whether the event was committed, or still will be."""
        pending = connections[self._using].run_on_commit
        return self._committed or any(entry[1] is self for entry in pending)


def _deliver_once() -> bool:
    """Deliver what is due now; return whether there was anything."""
    settings = conf.current()
    some = False
    for alias in settings.databases:
        outbox = store.claim(OUTBOX, MOST, LEASE, using=alias)
        for row in outbox:
            copies = publisher.spread(row.message, routes.of_database(settings.database))
            store.put(copies, using=settings.database)
        some |= bool(store.settle(outbox, using=alias))
    for queue in store.queues(using=settings.database):
        some |= _deliver_queue(queue)
    return some


def _deliver_queue(queue: str) -> bool:
    using = conf.current().database
    claimed = store.claim(queue, MOST, LEASE, using=using)
    settled: set[int] = set()
    arrivals = [receiving.arrival_of(row, queue) for row in claimed]
    site = Site(worker="inline", acknowledge=lambda arrival: settled.add(arrival.tag))
    try:
        _deliver_arrivals(queue, arrivals, site)
    finally:
        done: list[Claimed] = [row for row in claimed if row.id in settled]
        store.settle(done, using=using)
        store.release([row for row in claimed if row.id not in settled], using=using)
    return bool(claimed)


def _deliver_arrivals(queue: str, arrivals: Sequence[Arrival], site: Site) -> None:
    if any(subscription.batch for subscription in registry.on_queue(queue)):
        batches.deliver(arrivals, site)
        return
    for arrival in arrivals:
        delivery.deliver(arrival, site)


__all__ = ["Outcome", "Published", "Run", "capture_events", "run_subscribers"]
