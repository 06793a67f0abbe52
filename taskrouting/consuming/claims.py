"""May this copy of an event run? Tokens decide, and the unique row of the ledger.

``Delivery.token`` names the one copy of the message that may run next. The broker's own copy has
no token: it may run if it is the one that inserts the row. Every later copy (a retry, a lease, a
redrive) carries a token and runs only if it can exchange that token for a new one. Nothing is
decided by a state, by a time or by the presence of a message.

What a state does say is how the last run ended: a row that is still RUNNING when its token comes
back belongs to a worker that fell silent. From then on the delivery is a *suspect*, which runs
alone; and if it was one already, that is one crash.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from django.db import OperationalError, connections
from django.db.models.functions import Now

from taskrouting import conf
from taskrouting.events import Event
from taskrouting.routing.subscriptions import Subscription
from taskrouting.transport import store

from .models import Delivery

logger = logging.getLogger("taskrouting.delivery")

State = Delivery.State

#: How long a suspect's claim waits for the transaction that is just running the same delivery, and
#: the SQLSTATE that says it was in vain.
BRIEFLY, IN_VAIN = "1s", "55P03"


class ClaimHeld(Exception):
    """The delivery is being run in a transaction that is still open; come again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to run one delivery now, as long as ``token`` stands in its row."""

    delivery: int
    token: UUID
    event: Event
    subscription: Subscription
    queue: str
    routing_key: str

    #: A copy that carries ``token`` waits in the store until this worker falls silent.
    leased: bool = False

    #: It was begun before and came back; it must run alone, so that a crash is its own.
    suspect: bool = False

    #: Attempts that count, finished before this one.
    attempts: int = 0

    #: How often a worker fell silent while it ran this delivery as a suspect.
    crashes: int = 0
    errors: Sequence[dict[str, Any]] = ()

    @property
    def attempt(self) -> int:
        """The number of the attempt this claim is for; 1 is the first."""
        return self.attempts + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One copy of an event, for one subscription, that asks whether it may run."""

    event: Event
    subscription: Subscription
    queue: str
    routing_key: str

    #: ``None``: the broker's original.
    token: UUID | None = None

    #: Somebody had it before.
    suspect: bool = False


def claim(copy: Copy, worker: str) -> Claim | None:
    """Take the delivery for ``copy``; ``None`` means that it is a DUPLICATE.

    Call it inside a transaction on ``DATABASE``: the claim holds when that commits. Another open
    transaction's claim on the same delivery is waited for.

    Raises ClaimHeld for a suspect that has waited long enough: the transaction may be that of a
    handler that takes longer than the broker's patience, and a thread must not wait so long.
    """
    with _briefly(copy):
        return _claim_first(copy, worker) if copy.token is None else _claim_by_token(copy, worker)


def claim_many(copies: Sequence[Copy], worker: str) -> list[Claim]:
    """Take the deliveries of several original copies with one INSERT; duplicates are left out."""
    claims = {_key(copy): _fresh(copy) for copy in in_order(copies)}
    inserted = _insert(list(claims.values()), worker)
    return [replace(claims[key], delivery=number) for key, number in inserted]


def in_order(copies: Sequence[Copy]) -> list[Copy]:
    """Sort by key: two workers that meet wait for each other then, instead of deadlocking."""
    return sorted(copies, key=lambda copy: (copy.event.source, copy.event.id))


@contextmanager
def _briefly(copy: Copy) -> Iterator[None]:
    """Limit how long a suspect waits for locks; SQLite waits for its one writer anyway."""
    connection = connections[conf.current().database]
    if not (copy.suspect and connection.vendor == "postgresql"):
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{BRIEFLY}'")
    try:
        yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != IN_VAIN:
            raise
        raise ClaimHeld(f"{copy.event.id} for {copy.subscription.name!r}") from error


def _claim_first(copy: Copy, worker: str) -> Claim | None:
    """Insert the row; if it is there already, this copy is a duplicate."""
    claimed = _fresh(copy)
    inserted = _insert([claimed], worker)
    return replace(claimed, delivery=inserted[0][1]) if inserted else None


def _claim_by_token(copy: Copy, worker: str) -> Claim | None:
    """Exchange the copy's token; a row that is RUNNING means that a worker fell silent."""
    found = _deliveries().filter(
        event_id=copy.event.id,
        source=copy.event.source,
        subscription=copy.subscription.name,
        token=copy.token,
    )
    row = found.select_for_update().first()
    if row is None:
        return None
    lapsed = row.state == State.RUNNING
    claimed = replace(
        _fresh(copy),
        delivery=row.pk,
        suspect=copy.suspect or lapsed,
        attempts=row.attempts,
        crashes=row.crashes + (lapsed and row.suspect),
        errors=row.errors,
    )
    if lapsed:
        _note_silence(row, claimed)
    _deliveries().filter(pk=row.pk).update(
        token=claimed.token,
        crashes=claimed.crashes,
        suspect=claimed.suspect,
        state=State.RUNNING,
        started_at=Now(),
        worker=worker[:255],
    )
    return claimed


def _note_silence(row: Delivery, claimed: Claim) -> None:
    """Say that a delivery came back because its worker fell silent, and what that counts."""
    counts = f"crash {claimed.crashes}" if row.suspect else "no crash yet, but it runs alone now"
    logger.warning(
        "Worker %s fell silent while it ran delivery %s of %s to %r: %s",
        row.worker, row.pk, row.event_id, row.subscription, counts,
    )  # fmt: skip


def _fresh(copy: Copy) -> Claim:
    """The claim of a delivery that is not in the ledger yet."""
    return Claim(
        delivery=0,
        token=uuid4(),
        event=copy.event,
        subscription=copy.subscription,
        queue=copy.queue,
        routing_key=copy.routing_key,
        suspect=copy.suspect,
    )


def _insert(claims: Sequence[Claim], worker: str) -> list[tuple[tuple[str, str, str], int]]:
    """Insert RUNNING rows; return key and number of those that were not there yet."""
    if not claims:
        return []
    alias = conf.current().database
    columns = ("event_id", "source", "subscription", "queue", "routing_key", "state", "attempts",
               "crashes", "suspect", "errors", "token", "worker")  # fmt: skip
    now = store.DIALECTS[connections[alias].vendor].now
    row = f"({', '.join(['%s'] * len(columns))}, {now}, {now})"
    sql = (
        f"INSERT INTO {Delivery._meta.db_table} ({', '.join(columns)}, received_at, started_at) "  # noqa: S608  # no value in it
        f"VALUES {', '.join([row] * len(claims))} ON CONFLICT DO NOTHING "
        "RETURNING id, event_id, source, subscription"
    )
    values = [value for each in claims for value in _row(each, columns, worker, alias)]
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, values)
        return [((key[0], key[1], key[2]), number) for number, *key in cursor.fetchall()]


def _row(claim: Claim, columns: Sequence[str], worker: str, alias: str) -> list[Any]:
    """Adapt one new ledger row to the database's types."""
    row = Delivery(
        event_id=claim.event.id,
        source=claim.event.source,
        subscription=claim.subscription.name,
        queue=claim.queue,
        routing_key=claim.routing_key,
        state=State.RUNNING,
        suspect=claim.suspect,
        token=claim.token,
        worker=worker[:255],
    )
    return store.adapted(row, Delivery, columns, alias)


def _key(copy: Copy) -> tuple[str, str, str]:
    return copy.event.id, copy.event.source, copy.subscription.name


def _deliveries() -> Any:
    return Delivery.objects.using(conf.current().database)
