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
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from django.db import OperationalError, connections
from django.db.models.functions import Now

from taskrouting import conf, log_fields
from taskrouting.events import Event
from taskrouting.routing.subscriptions import Subscription
from taskrouting.transport.cursors import at_once
from taskrouting.transport.rows import insert_new

from .models import Delivery

logger = logging.getLogger("taskrouting.delivery")

State = Delivery.State

#: How long such a claim waits for the transaction that is just running the same delivery, and
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
    with briefly() if copy.suspect else nullcontext():
        return _claim_first(copy, worker) if copy.token is None else _claim_by_token(copy, worker)


def claim_many(copies: Sequence[Copy], worker: str) -> list[Claim]:
    """Take the deliveries of several original copies with one INSERT; duplicates are left out."""
    return _insert(in_order(copies), worker)


def in_order(copies: Sequence[Copy]) -> list[Copy]:
    """Sort by key: two workers that meet wait for each other then, instead of deadlocking."""
    return sorted(copies, key=lambda copy: (copy.event.source, copy.event.id))


@contextmanager
def briefly() -> Iterator[None]:
    """Limit how long claims wait for locks; SQLite waits for its one writer anyway.

    Raises ClaimHeld when that was in vain: the transaction can only be rolled back then.
    """
    connection = connections[conf.current().database]
    if connection.vendor != "postgresql":
        yield
        return
    with at_once(connection.alias), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{BRIEFLY}'")
        try:
            yield
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != IN_VAIN:
                raise
            raise ClaimHeld("another transaction is just running it") from error
        cursor.execute("SET LOCAL lock_timeout TO DEFAULT")


def _claim_first(copy: Copy, worker: str) -> Claim | None:
    """Insert the row; if it is there already, this copy is a duplicate."""
    inserted = _insert([copy], worker)
    return inserted[0] if inserted else None


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
        _claim(copy, row.pk, uuid4()),
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
        extra=log_fields.about(
            claimed.event,
            subscription=row.subscription,
            queue=claimed.queue,
            attempt=claimed.attempt,
        ),
    )  # fmt: skip


def _claim(copy: Copy, delivery: int, token: UUID) -> Claim:
    """The right to run ``copy``, as if for the first time."""
    return Claim(
        delivery=delivery,
        token=token,
        event=copy.event,
        subscription=copy.subscription,
        queue=copy.queue,
        routing_key=copy.routing_key,
        suspect=copy.suspect,
    )


def _insert(copies: Sequence[Copy], worker: str) -> list[Claim]:
    """Insert RUNNING rows; return the claims of those that were not there yet."""
    asking = {
        key(copy): (copy, token) for copy, token in zip(copies, _tokens(len(copies)), strict=True)
    }
    inserted = insert_new(
        Delivery,
        [_row(copy, token, worker) for copy, token in asking.values()],
        using=conf.current().database,
        now=("received_at", "started_at"),
        returning=("id", "event_id", "source", "subscription"),
    )
    return [
        _claim(copy, number, token)
        for number, *known in inserted
        for copy, token in [asking[tuple(known)]]
    ]


def _tokens(count: int) -> Iterator[UUID]:
    """Make new tokens: ``uuid4()`` for many, whose randomness the system gives at once."""
    random = os.urandom(16 * count)
    return (UUID(bytes=random[at : at + 16], version=4) for at in range(0, 16 * count, 16))


def _row(copy: Copy, token: UUID, worker: str) -> dict[str, Any]:
    """A new ledger row."""
    return {
        "event_id": copy.event.id,
        "source": copy.event.source,
        "subscription": copy.subscription.name,
        "queue": copy.queue,
        "routing_key": copy.routing_key,
        "state": State.RUNNING.value,
        "attempts": 0,
        "crashes": 0,
        "suspect": copy.suspect,
        "errors": [],
        "token": token,
        "worker": worker[:255],
    }


def key(one: Copy | Claim) -> tuple[str, str, str]:
    """What the ledger knows a delivery by."""
    return one.event.id, one.event.source, one.subscription.name


def _deliveries() -> Any:
    return Delivery.objects.using(conf.current().database)
