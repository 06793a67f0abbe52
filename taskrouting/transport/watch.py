"""Is it silent because there is nothing, or because we are deaf? Look from another connection.

A consumer that hears nothing cannot tell. So while a worker consumes, a thread looks every
``EVERY`` seconds, over a connection of its own:

- it declares the topology anew: what a broker has lost, or somebody has removed, is there again;
- where the broker tells its backlog, it compares what is ready with what has arrived. A queue that
  has something for us at two looks, while there was room and nothing came, ends the session: the
  worker connects, declares and consumes anew. So does one that knows of no consumer: RabbitMQ does
  not tell everybody whose queue was deleted and made anew. When that has been in vain ``ENOUGH``
  times, the process ends, for its supervisor to replace.

A queue with ``x-single-active-consumer`` is left out: it may keep us waiting.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError, connections

from taskrouting.exceptions import BrokerUnavailable, ConsumerDeaf
from taskrouting.routing import topology

from . import inspection
from .broker import Broker

logger = logging.getLogger("taskrouting.watch")

#: Seconds between two looks.
EVERY = 20.0

#: How often a queue is consumed anew in vain before the process ends.
ENOUGH = 3


class Intake:
    """What one receiver may hold of each queue, holds, and has received; one thread writes it."""

    def __init__(self) -> None:
        self.prefetch: dict[str, int] = {}
        self._held: Counter[str] = Counter()
        self._received: Counter[str] = Counter()
        self._heard_at: dict[str, float] = {}

    def opened(self, queue: str, prefetch: int) -> None:
        """Count a queue that is consumed from now on, or of which another number may be held."""
        self.prefetch[queue] = prefetch
        self._heard_at[queue] = time.monotonic()

    def closed(self) -> None:
        """Nothing is consumed any more."""
        self.prefetch.clear()

    def received(self, queue: str) -> None:
        """Count a message."""
        self._held[queue] += 1
        self._received[queue] += 1
        self._heard_at[queue] = time.monotonic()

    def settled(self, queue: str) -> None:
        """Count one that is settled."""
        self._held[queue] -= 1

    def heard(self) -> list[str]:
        """The queues from which anything has come."""
        return list(self._received)

    def listening(self) -> dict[str, int]:
        """The queues from which something could come, and how much has come from each."""
        consumed = list(self.prefetch.items())
        return {name: self._received[name] for name, most in consumed if self._held[name] < most}

    def idle_for(self, seconds: float) -> set[str]:
        """The queues of which nothing is held, and from which nothing has come for so long."""
        since = time.monotonic() - seconds
        return {
            name for name in self.prefetch if not self._held[name] and self._heard_at[name] < since
        }


class Watch:
    """Watches over a worker's receivers, one after the other."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._in_vain: Counter[str] = Counter()
        self._guard: _Guard | None = None

    @contextmanager
    def over(self, intake: Intake, paused: set[str]) -> Iterator[None]:
        """Watch what a receiver takes in during a block; ``paused`` are queues it leaves alone.

        Raises ConsumerDeaf when it has been in vain often enough: end the process.
        """
        for queue, times in self._in_vain.most_common(1):
            if times >= ENOUGH:
                raise ConsumerDeaf(
                    f"Queue {queue!r} was consumed anew {times} times: it has messages, and none "
                    "arrives here. This process ends, for its supervisor to replace."
                )
        self._guard = guard = _Guard(self._broker, intake, paused)
        threading.Thread(target=guard.run, name="watch", daemon=True).start()
        try:
            yield
        finally:
            guard.over.set()
            self._judge(guard, intake)

    def ask(self) -> None:
        """Raise what was found, in the thread that can do something about it."""
        if self._guard is not None and self._guard.verdict is not None:
            raise self._guard.verdict

    def _judge(self, guard: _Guard, intake: Intake) -> None:
        """Remember whether it was in vain to consume the queues anew."""
        for queue in intake.heard():
            del self._in_vain[queue]
        self._in_vain.update(guard.unheard)


class _Guard:
    """Looks after one receiver, in a thread of its own."""

    def __init__(self, broker: Broker, intake: Intake, paused: set[str]) -> None:
        self._broker = broker
        self._intake = intake
        self._paused = paused
        self.over = threading.Event()
        self.verdict: Exception | None = None
        #: Queues that have something for us which does not come.
        self.unheard: set[str] = set()

    def run(self) -> None:
        """Look until it is over, or there is something to say."""
        before: dict[str, int] = {}
        while self.verdict is None and not self.over.wait(EVERY):
            try:
                before = self._look(before)
            except (BrokerUnavailable, DatabaseError, InterfaceError) as error:
                # Whoever consumes notices it, and says so.
                logger.debug("Could not look after the queues: %s", error)
            except Exception as error:  # noqa: BLE001  # it is raised where it can be heard
                self.verdict = error
            finally:
                connections.close_all()

    def _look(self, before: dict[str, int]) -> dict[str, int]:
        """Return how much has come so far from the queues that have something for us now."""
        current = topology.current()
        listening = self._intake.listening()
        with self._broker.connect() as connection:
            self._broker.declare(connection, current)
            if not self._broker.can.tells_backlog:
                return {}
            said = inspection.unserved(self._broker, connection, listening)
        shy = {each.name for each in current.queues if each.single} | self._paused
        now = {name: listening[name] for name in said if name not in shy}
        self.unheard = {name for name in now if before.get(name) == now[name]}
        for name in sorted(self.unheard):
            self.verdict = BrokerUnavailable(
                f"queue {name!r} {said[name]}, and nothing has arrived here for {EVERY:g} seconds, "
                "though there is room; it is consumed anew"
            )
        return now
