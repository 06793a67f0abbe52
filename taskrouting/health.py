"""How is this installation doing? What waits, what died, who works; asked, and nothing changed.

Counts stop at ``MOST``: whoever looks at a backlog of millions needs an answer, not the last digit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from taskrouting import conf
from taskrouting.exceptions import TaskroutingError
from taskrouting.models import DeadLetter, Delivery, Message, WorkerProcess
from taskrouting.routing import topology
from taskrouting.transport import broker, inspection, store

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
        outboxes=[_outbox(alias) for alias in _outbox_databases()],
        queues=_queues(on_broker),
        deliveries={str(state): _count(_deliveries(state)) for state in STATES},
        dead_letters=_open_dead_letters(),
        workers=_workers(),
    )


def as_json(health: Health) -> dict[str, Any]:
    """Say it in values that JSON has; durations are in seconds, instants in ISO 8601."""
    plain: dict[str, Any] = _plain(asdict(health))
    return plain


def _broker() -> tuple[BrokerHealth, dict[str, int | None]]:
    """Ask the broker what waits in our queues."""
    here = broker.current()
    names = [queue.name for queue in topology.current().queues]
    if dead := here.dead_letter_queue(topology.current()):
        names.append(dead)
    try:
        with here.connect() as connection:
            waiting = {} if here.can.embedded else inspection.waiting(here, connection, names)
            takes = inspection.takes_messages(here, connection)
    except TaskroutingError as error:
        return BrokerHealth(
            kind=here.can.name, reachable=False, takes_messages=False, error=str(error)
        ), {}
    return BrokerHealth(kind=here.can.name, reachable=True, takes_messages=takes), waiting


def _outbox(alias: str) -> OutboxHealth:
    try:
        rows = Message.objects.using(alias).filter(queue=store.OUTBOX)
        # Not those that are to leave later; what a relay has claimed now is on its way.
        due = rows.filter(Q(available_at__lte=Now()) | Q(claim__isnull=False)).order_by("id")
        times = due.annotate(now=Now()).values_list("now", "created_at").first()
        oldest = times[0] - times[1] if times else None
        return OutboxHealth(database=alias, waiting=_count(rows), oldest=oldest)
    except (DatabaseError, InterfaceError) as error:
        if alias == conf.current().database:
            raise
        return OutboxHealth(database=alias, error=str(error).strip())


def _queues(on_broker: dict[str, int | None]) -> list[QueueHealth]:
    database = conf.current().database
    declared = {queue.name for queue in topology.current().queues}
    stored = set(store.queues(using=database)) - {store.OUTBOX}
    return [
        QueueHealth(
            name=name,
            declared=name in declared or name in on_broker,
            on_broker=on_broker.get(name),
            in_database=_count(Message.objects.using(database).filter(queue=name)),
        )
        for name in sorted(declared | stored | set(on_broker))
    ]


def _open_dead_letters() -> dict[str, Count]:
    letters = DeadLetter.objects.using(conf.current().database).filter(resolved_at=None)
    reasons = list(letters.values_list("reason", flat=True)[: MOST + 1])
    counted = Counter(reasons[:MOST])
    return {reason: Count(number, len(reasons) > MOST) for reason, number in counted.most_common()}


def _workers() -> list[WorkerHealth]:
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


def _outbox_databases() -> Sequence[str]:
    settings = conf.current()
    return list(dict.fromkeys([settings.database, *settings.outbox_databases]))


def _count(rows: QuerySet[Any]) -> Count:
    """Count ``rows``, but no further than ``MOST``."""
    number = rows.order_by()[: MOST + 1].count()
    return Count(min(number, MOST), number > MOST)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
