"""How is this installation doing? What waits, what died, who works; asked, and nothing changed.

Counts stop at ``MOST``: whoever looks at a backlog of millions needs an answer, not the last digit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.db.models import QuerySet
from django.db.models.functions import Now

from taskrouting import conf
from taskrouting.consuming import pauses
from taskrouting.exceptions import TaskroutingError
from taskrouting.models import DeadLetter, Delivery, Message, WorkerProcess
from taskrouting.routing import topology
from taskrouting.transport import broker, inspection, store, waiting

#: Counting ends here.
MOST = 10_000

#: States of deliveries that somebody may have to look at; the others are history.
STATES = (Delivery.State.RUNNING, Delivery.State.PENDING, Delivery.State.DEAD)


@dataclass(frozen=True, slots=True)
class Count:
    """How many; ``more`` where counting stopped."""

    number: int
    more: bool = False

    def __str__(self) -> str:
        return f"{self.number}+" if self.more else str(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerHealth:
    """Whether the broker can be reached; ``error`` says why not."""

    kind: str
    reachable: bool

    #: False where it is reached and takes nothing: RabbitMQ is short of memory or disk space.
    takes_messages: bool
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxHealth:
    """What waits to leave one database; ``error`` where that cannot be read."""

    database: str
    waiting: Count | None = None

    #: Age of the oldest event that waits and is due.
    oldest: timedelta | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueHealth:
    """What waits for a queue's consumers."""

    name: str

    #: False where messages wait and the code declares no such queue.
    declared: bool

    #: On the broker; ``None`` where it keeps nothing outside the database, or does not say.
    on_broker: int | None

    #: In the database: queues of ``django://``, retries and leases of running deliveries.
    in_database: Count

    #: Whether an operator lets it rest.
    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHealth:
    """A worker process, by its own word."""

    name: str
    host: str
    pid: int
    version: str
    queues: list[str]
    threads: int
    started_at: datetime

    #: How long ago it last said that it is alive.
    silent_for: timedelta

    #: Whether that is recent enough to believe it.
    alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Everything that ``router_status`` says."""

    broker: BrokerHealth
    outboxes: list[OutboxHealth]
    queues: list[QueueHealth]

    #: By state.
    deliveries: dict[str, Count]

    #: Those that are open, by reason; ``more`` where there are more of any reason.
    dead_letters: dict[str, Count]
    workers: list[WorkerHealth]


def look() -> Health:
    """Look at everything once; takes at most a few seconds where the broker is away.

    Raises django.db.DatabaseError when the central database cannot be asked.
    """
    reached, on_broker = _broker()
    return Health(
        broker=reached,
        outboxes=outboxes(),
        queues=_queues(on_broker),
        deliveries={str(state): _count(_deliveries(state)) for state in STATES},
        dead_letters=_open_dead_letters(),
        workers=workers(),
    )


def outboxes() -> list[OutboxHealth]:
    """Return what waits to leave each database."""
    return [_outbox(alias) for alias in conf.current().databases]


def open_dead_letters() -> Count:
    """Count the dead letters that nobody has dealt with."""
    return _count(DeadLetter.objects.using(conf.current().database).filter(resolved_at=None))


def backlog() -> dict[str, int]:
    """Count what waits in every queue, and in the outboxes together.

    While the broker is away nobody knows how much its queues hold, so only the outboxes are said.
    """
    counts = [each.waiting for each in outboxes() if each.waiting is not None]
    outbox = {store.OUTBOX: sum(count.number for count in counts)}
    try:
        queues = _queues(_on_broker(broker.current()))
    except TaskroutingError:
        return outbox
    counted = {each.name: each.in_database.number + (each.on_broker or 0) for each in queues}
    return {**counted, **outbox}


def _on_broker(here: broker.Broker) -> dict[str, int | None]:
    """Ask the broker what waits in our queues, on a connection of its own."""
    if here.can.embedded:
        return {}
    with here.connect() as connection:
        return inspection.waiting(here, connection, _names_on(here))


def _names_on(here: broker.Broker) -> list[str]:
    current = topology.current()
    dead = here.dead_letter_queue(current)
    return [*(queue.name for queue in current.queues), *([dead] if dead else [])]


def as_json(health: Health) -> dict[str, Any]:
    """Say it in values that JSON has; durations are in seconds, instants in ISO 8601."""
    plain: dict[str, Any] = as_plain(asdict(health))
    return plain


def _broker() -> tuple[BrokerHealth, dict[str, int | None]]:
    """Ask the broker what waits in our queues."""
    here = broker.current()
    try:
        with here.connect() as connection:
            names = [] if here.can.embedded else _names_on(here)
            waiting = inspection.waiting(here, connection, names)
            takes = inspection.takes_messages(here, connection)
    except TaskroutingError as error:
        return BrokerHealth(
            kind=here.can.name, reachable=False, takes_messages=False, error=str(error)
        ), {}
    return BrokerHealth(kind=here.can.name, reachable=True, takes_messages=takes), waiting


def _outbox(alias: str) -> OutboxHealth:
    try:
        rows = Message.objects.using(alias).filter(queue=store.OUTBOX)
        oldest = waiting.oldest_due(using=alias)
        return OutboxHealth(database=alias, waiting=_count(rows), oldest=oldest)
    except (DatabaseError, InterfaceError) as error:
        if alias == conf.current().database:
            raise
        return OutboxHealth(database=alias, error=str(error).strip())


def _queues(on_broker: dict[str, int | None]) -> list[QueueHealth]:
    database = conf.current().database
    declared = {queue.name for queue in topology.current().queues}
    stored = set(store.queues(using=database)) - {store.OUTBOX}
    paused = pauses.paused()
    return [
        QueueHealth(
            name=name,
            declared=name in declared or name in on_broker,
            on_broker=on_broker.get(name),
            in_database=_count(Message.objects.using(database).filter(queue=name)),
            paused=name in paused,
        )
        for name in sorted(declared | stored | set(on_broker))
    ]


def _open_dead_letters() -> dict[str, Count]:
    letters = DeadLetter.objects.using(conf.current().database).filter(resolved_at=None)
    reasons = list(letters.values_list("reason", flat=True)[: MOST + 1])
    counted = Counter(reasons[:MOST])
    return {reason: Count(number, len(reasons) > MOST) for reason, number in counted.most_common()}


def workers() -> list[WorkerHealth]:
    """Return every worker process that is known, with how long it has been silent."""
    settings = conf.current()
    rows = WorkerProcess.objects.using(settings.database).annotate(now=Now()).order_by("name")
    return [
        WorkerHealth(
            name=row.name,
            host=row.host,
            pid=row.pid,
            version=row.version,
            queues=row.queues,
            threads=row.threads,
            started_at=row.started_at,
            silent_for=row.now - row.seen_at,
            alive=row.now - row.seen_at <= settings.lease,
        )
        for row in rows
    ]


def _deliveries(state: str) -> QuerySet[Delivery]:
    return Delivery.objects.using(conf.current().database).filter(state=state)


def _count(rows: QuerySet[Any]) -> Count:
    """Count ``rows``, but no further than ``MOST``."""
    number = rows.order_by()[: MOST + 1].count()
    return Count(min(number, MOST), number > MOST)


def as_plain(value: Any) -> Any:
    """Say it in values that JSON has; durations are in seconds, instants in ISO 8601."""
    if isinstance(value, dict):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [as_plain(item) for item in value]
    return value
