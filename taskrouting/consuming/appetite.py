"""From which queues does a worker take now, and how much? As its threads and its operators let it.

What waits in vain for a thread goes back for others to take, and nothing more is taken from its
queue until a thread is free. A queue that an operator has paused is let alone until it is resumed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from taskrouting.routing import topology
from taskrouting.routing.subscriptions import registry
from taskrouting.transport.messages import Arrival
from taskrouting.transport.receiving import Receiver

from .collecting import Collector
from .gathering import Gatherer
from .orders import Orders
from .pool import Pool

logger = logging.getLogger("taskrouting.worker")

#: Seconds a message waits here for a thread before it goes back for others to take.
PATIENCE = 1.0


class Appetite:
    """What one worker takes of its queues. Belongs to the worker's main thread, but ``held``."""

    def __init__(
        self,
        queues: Sequence[topology.Queue],
        pool: Pool,
        gatherer: Gatherer,
        collector: Collector,
        orders: Orders,
        prefetch: int | None,
    ) -> None:
        """``prefetch`` goes before what is set for each queue."""
        self._pool = pool
        self._gatherer = gatherer
        self._batches = collector.batches
        self._orders = orders
        self._prefetch = prefetch
        self._receiver: Receiver | None = None
        #: The queues of ours that rest.
        self._resting: set[str] = set()
        self._rooms = {each.name: self._room(each) for each in queues}

    @property
    def held(self) -> int:
        """How many messages were taken and are not settled."""
        return self._receiver.unsettled if self._receiver is not None else 0

    def begin(self, receiver: Receiver, deliver: Callable[[Arrival], None]) -> None:
        """Take from the queues that do not rest."""
        self._receiver = receiver
        receiver.consume(self._rooms, deliver, self._rest())

    def adjust(self, receiver: Receiver) -> None:
        """Take less, or more, as it is now."""
        if self._orders.paused or self._resting:
            receiver.pause(self._rest())
        self._share(receiver)
        self._widen(receiver)

    def declines(self, arrival: Arrival) -> bool:
        """Give back what still comes from a queue that rests, as a last BRPOP on Redis may."""
        if self._receiver is None or arrival.queue not in self._resting:
            return False
        self._receiver.hand_back(arrival)
        return True

    def sated(self, receiver: Receiver) -> bool:
        """Say whether nothing is taken from some queue until a thread is free."""
        return bool(receiver.paused - self._resting)

    def _rest(self) -> set[str]:
        """Return the queues of ours that rest now, and say what has changed."""
        before, self._resting = self._resting, set(self._orders.paused & self._rooms.keys())
        for name in sorted(self._resting - before):
            logger.info("Queue %r is paused: nothing more is taken from it", name)
        for name in sorted(before - self._resting):
            logger.info("Queue %r is resumed", name)
        return self._resting

    def _room(self, queue: topology.Queue) -> int:
        """How many unsettled messages of ``queue`` to hold."""
        prefetch = self._prefetch or queue.prefetch
        if batch := self._batches.get(queue.name):
            return max(prefetch, 2 * batch.size)
        external = any(each.effects == "external" for each in registry.on_queue(queue.name))
        return min(prefetch, self._pool.threads) if external else prefetch

    def _share(self, receiver: Receiver) -> None:
        """Give back what waits in vain for a thread; take again when one is free."""
        waiting = [*self._pool.withdraw(PATIENCE), *self._gatherer.withdraw(PATIENCE)]
        for arrival in waiting:
            receiver.hand_back(arrival)
        for name in {arrival.queue for arrival in waiting} - receiver.paused:
            receiver.pause({name})
            receiver.hold(name, self._rooms.get(name, self._pool.threads))
        if self._pool.free:
            receiver.resume(but=self._resting)

    def _widen(self, receiver: Receiver) -> None:
        """Hold as much of a queue as two groups take, where its handlers turn out to be quick."""
        for name, size in self._gatherer.sizes():
            if receiver.intake.prefetch.get(name, size + 1) <= size:
                receiver.hold(name, 2 * size)
