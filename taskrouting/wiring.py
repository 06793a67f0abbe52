"""What is wired to what, and how is it there? Exchange, bindings, queues and subscriptions.

What the code declares is told also while the broker is away; what could not be asked is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from taskrouting.consuming import pauses, presence
from taskrouting.consuming.models import Pause
from taskrouting.exceptions import TaskroutingError
from taskrouting.health import MOST, Count
from taskrouting.instruments import rates
from taskrouting.routing import topology
from taskrouting.routing.subscriptions import Subscription, registry
from taskrouting.routing.topology import Binding, Topology
from taskrouting.transport import broker, declared, inspection, store, waiting
from taskrouting.transport.broker import Broker
from taskrouting.transport.drift import Drift, binding_named, exchange_named, queue_named
from taskrouting.transport.waiting import Waiting

#: Seconds to wait for each of the broker's answers: somebody waits for the whole.
PATIENCE = 1.0


class Mark(StrEnum):
    """What is not as it should be, or as it usually is."""

    #: Declared in the code, and not on the broker.
    MISSING = "missing"

    #: On the broker with other arguments than the code declares.
    DIFFERS = "differs"

    #: On the broker, and no longer declared in the code.
    LEFT_OVER = "left_over"

    #: On the broker, made by others.
    FOREIGN = "foreign"

    #: Nobody consumes it.
    UNSERVED = "unserved"

    #: An operator lets it rest.
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A binding, and what is wrong with it."""

    binding: Binding
    mark: Mark | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A queue, what leads to it, what waits in it and what runs there."""

    name: str
    wires: tuple[Wire, ...]
    subscriptions: tuple[Subscription, ...]
    marks: tuple[Mark, ...]

    #: Ready for a consumer; ``None`` where the broker does not tell, or could not be asked.
    waiting: Count | None

    #: Retries and leases on their way to a queue outside the database.
    in_database: Count

    #: How long the oldest has been due; ``None`` where nothing waits, or only the broker knows.
    oldest: timedelta | None

    #: As the broker counts them; where it does not, worker processes that are alive.
    consumers: int

    #: Attempts that ended in the last hour; ``None`` where nothing was counted at all.
    an_hour: int | None = None

    #: Who lets it rest, and why.
    pause: Pause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Everything that the page of the topology shows."""

    exchange: str
    exchange_mark: Mark | None
    stations: tuple[Station, ...]
    drift: Drift

    #: Kombu's name of the transport.
    broker: str

    #: Why the broker could not be asked; empty if it was.
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What the broker says."""

    drift: Drift
    counts: Mapping[str, inspection.Counts]
    error: str = ""


def look() -> Wiring:
    """Look at everything once; takes a few seconds at most where the broker is away.

    Raises django.db.DatabaseError when the central database cannot be asked.
    """
    here, wanted = broker.current(PATIENCE), topology.current()
    answer = _ask(here, wanted)
    there = {*answer.drift.left_over, *answer.drift.foreign}
    bindings = {*wanted.bindings, *there}
    if answer.error or not here.can.embedded:  # the embedded broker has told all that it knows
        bindings |= _remembered(here, wanted)
    paused = pauses.paused()
    names = (
        {each.name for each in wanted.queues} | {each.queue for each in bindings} | paused.keys()
    )
    names |= set(store.queues(using=here.database)) - {store.OUTBOX}
    stored = waiting.look(sorted(names), MOST + 1, using=here.database)
    alive = presence.serving()
    ended = rates.last_hour(using=here.database)
    return Wiring(
        exchange=wanted.exchange,
        exchange_mark=_mark(exchange_named(wanted.exchange), answer.drift),
        stations=tuple(
            _Looker(here, wanted, answer, name).station(
                bindings,
                stored[name],
                alive[name],
                paused.get(name),
                ended.get(name, 0) if ended else None,
            )
            for name in sorted(names)
        ),
        drift=answer.drift,
        broker=here.can.name,
        error=answer.error,
    )


def _ask(here: Broker, wanted: Topology) -> _Answer:
    """Ask the broker what there is; where it is away, that is the answer."""
    names = [queue.name for queue in wanted.queues]
    try:
        with here.connect() as connection:
            found = inspection.drift(here, connection, wanted)
            counts = {} if here.can.embedded else inspection.counted(here, connection, names)
    except TaskroutingError as error:
        return _Answer(drift=Drift(), counts={}, error=str(error))
    return _Answer(drift=found, counts=counts)


def _remembered(here: Broker, wanted: Topology) -> set[Binding]:
    """What was bound, as the database knows: it can be asked while the broker is away.

    The embedded broker is the database, and has said it already.
    """
    if here.can.embedded:
        return set()
    return declared.bindings(here.can.name, wanted.exchange, using=here.database)


def _mark(name: str, drift: Drift) -> Mark | None:
    """Judge what the code declares and what the broker has, by its name."""
    if name in drift.missing:
        return Mark.MISSING
    return Mark.DIFFERS if name in drift.conflicts else None


@dataclass(frozen=True, slots=True)
class _Looker:
    """Looks at one queue."""

    broker: Broker
    wanted: Topology
    answer: _Answer
    name: str

    def station(
        self,
        bindings: Iterable[Binding],
        stored: Waiting,
        alive: int,
        pause: Pause | None,
        ended: int | None,
    ) -> Station:
        """Put together what is known of it."""
        count = Count(min(stored.count, MOST), stored.count > MOST)
        ready, consumers = self.answer.counts.get(self.name, (None, None))
        embedded = self.broker.can.embedded
        if consumers is None:
            consumers = 0 if pause else alive
        return Station(
            name=self.name,
            wires=tuple(
                Wire(binding=each, mark=self._wrong_with(each))
                for each in sorted(bindings, key=lambda each: each.pattern)
                if each.queue == self.name
            ),
            subscriptions=tuple(registry.on_queue(self.name)),
            marks=tuple(self._marks(consumers, pause)),
            waiting=count if embedded else None if ready is None else Count(ready),
            in_database=Count(0) if embedded else count,
            oldest=stored.oldest if embedded else None,
            consumers=consumers,
            an_hour=ended,
            pause=pause,
        )

    def _marks(self, consumers: int, pause: Pause | None) -> Iterable[Mark]:
        if self.wanted.queue(self.name) is None:
            yield Mark.LEFT_OVER
        elif mark := _mark(queue_named(self.name), self.answer.drift):
            yield mark
        if pause:
            yield Mark.PAUSED
        elif not consumers:
            yield Mark.UNSERVED

    def _wrong_with(self, binding: Binding) -> Mark | None:
        if binding in self.answer.drift.foreign:
            return Mark.FOREIGN
        if binding not in self.wanted.bindings:
            return Mark.LEFT_OVER
        return Mark.MISSING if binding_named(binding) in self.answer.drift.missing else None
