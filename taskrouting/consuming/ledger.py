"""What became of a delivery? Outcomes, fenced by the claim's token, and the copies they leave.

A retry, a snooze, a lease and a redrive write a token and the message that carries it in one
transaction, so there is always exactly one copy that may run next.

::

              claim                    outcome
    PENDING ─────────► RUNNING ─┬────► HANDLED
       ▲                  │     ├────► DISCARDED
       │   retry, snooze  │     └────► DEAD ──┐
       └──────────────────┴──────────────◄────┘ redrive
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connections, transaction
from django.db.models import F
from django.db.models.functions import Now

from taskrouting import conf, masking
from taskrouting.events import Event
from taskrouting.exceptions import LeaseLost
from taskrouting.json_text import storable
from taskrouting.transport import messages, rows, signing, store
from taskrouting.transport.dialects import DIALECTS
from taskrouting.transport.messages import REPEAT, Arrival, Message

from .claims import Claim, Copy, in_order
from .claims import claim as claim_copy
from .models import Delivery

State = Delivery.State

#: Of how many attempts (the newest) the traceback is kept, and how many characters of each.
KEPT_TRACEBACKS = 20
KEPT_TRACEBACK = 10_000


def lease(claim: Claim) -> Claim:
    """Commit beside the claim what will run it again if this worker falls silent."""
    _put_copy(claim, claim.token, conf.current().lease, suspect=claim.suspect)
    return replace(claim, leased=True)


def succeed(claim: Claim, result: Any = None) -> None:
    """Record HANDLED."""
    _finish(claim, state=State.HANDLED, attempts=claim.attempt, result=result)


def succeed_many(claims: Sequence[Claim]) -> None:
    """Record HANDLED for claims of this very transaction, which nobody else can have taken."""
    if not claims:
        return
    using = conf.current().database
    these, numbers = rows.among("id", [claim.delivery for claim in claims], using)
    sql = f"""UPDATE {Delivery._meta.db_table}
        SET state = %s, attempts = attempts + 1, token = NULL,
            finished_at = {DIALECTS[connections[using].vendor].now}
        WHERE {these}"""  # noqa: S608  # our own names, and placeholders
    with connections[using].cursor() as cursor:
        cursor.execute(sql, [State.HANDLED.value, *numbers])


def forget(claims: Sequence[Claim]) -> None:
    """Take back claims of this very transaction, whose handlers have not begun."""
    if claims:
        _deliveries().filter(pk__in=[claim.delivery for claim in claims]).delete()


def discard(claim: Claim, reason: str) -> None:
    """Record that there was, on purpose, nothing to do."""
    _finish(claim, state=State.DISCARDED, attempts=claim.attempt, result=_discarded(reason, claim))


def _discarded(reason: str, claim: Claim) -> dict[str, str]:
    return {"discarded": _unsaid(reason, claim)}


def retry(claim: Claim, error: dict[str, Any], delay: timedelta) -> None:
    """Count a failed attempt and put a copy for this one subscription, due after ``delay``."""
    errors = _errors(claim, error)
    _postpone(claim, delay, attempts=claim.attempt, errors=errors)


def snooze(claim: Claim, delay: timedelta) -> None:
    """Put a copy due after ``delay``; no attempt is counted."""
    _postpone(claim, delay)


def bury(claim: Claim, error: dict[str, Any] | None) -> None:
    """Record DEAD; the dead letter is kept by the caller, in the same transaction."""
    attempts = claim.attempts if error is None else claim.attempt
    _finish(claim, state=State.DEAD, attempts=attempts, errors=_errors(claim, error))


def bury_copy(arrival: Arrival) -> int | None:
    """Record DEAD for the delivery whose turn ``arrival`` is, unhandled; return its number.

    ``None``: it is not its turn, or the delivery is not there any more.
    """
    # Of us these say what the event says; what a stranger wrote there is merely not found.
    said = [arrival.properties.get("message_id"), arrival.properties.get("app_id")]
    event_id, source = (storable(text) if isinstance(text, str) else "" for text in said)
    found = _deliveries().filter(
        event_id=event_id,
        source=source,
        subscription=storable(str(arrival.subscription)),
        token=arrival.token,
    )
    number: int | None = found.select_for_update().values_list("pk", flat=True).first()
    found.update(state=State.DEAD, token=None, finished_at=Now())
    return number


def postpone_new(copy: Copy, worker: str) -> None:
    """Let another thread run ``copy``: claim it and put an addressed copy that is due at once."""
    claimed = claim_copy(copy, worker)
    if claimed is not None:
        _postpone(claimed, timedelta(0), suspect=claimed.suspect)


def set_apart(copies: Sequence[Copy], worker: str) -> None:
    """Let each of ``copies`` run alone: what they shared a transaction with does not end."""
    with transaction.atomic(using=conf.current().database):
        for copy in in_order(copies):
            postpone_new(copy, worker)


def put_aside(claim: Claim, delay: timedelta) -> None:
    """Put a copy of a suspect due after ``delay``: it cannot run alone here and now."""
    _postpone(claim, delay, suspect=True)


def has_crashed(event: Event, subscriptions: Sequence[str]) -> bool:
    """Say whether a worker has died while it ran ``event`` for one of the ``subscriptions``."""
    found = _deliveries().filter(event_id=event.id, source=event.source, crashes__gt=0)
    return bool(found.filter(subscription__in=subscriptions).exists())


def redrive(delivery: Delivery, message: Message) -> bool:
    """Entitle a new copy of a dead delivery to run, attempts counted anew.

    Returns False, and does nothing, when the delivery is not dead (any more).
    """
    token = uuid4()
    found = _deliveries().filter(pk=delivery.pk, state=State.DEAD)
    revived = found.update(
        state=State.PENDING, token=token, attempts=0, crashes=0, finished_at=None, result=None
    )
    if revived:
        copy = signing.signed(replace(message, token=token))
        store.put([copy], using=conf.current().database)
    return bool(revived)


def excuse(tokens: Sequence[UUID]) -> None:
    """Say of what runs in a worker that must leave: if it is cut off, that is no crash.

    The tokens hold: what still finishes is recorded.
    """
    _deliveries().filter(token__in=tokens, state=State.RUNNING).update(state=State.PENDING)


def interrupt(tokens: Sequence[UUID]) -> None:
    """Let others run at once what this worker stops in the middle of; it is no crash."""
    excuse(tokens)
    store.renew(tokens, timedelta(0), using=conf.current().database)


def acquit(claim: Claim) -> None:
    """Take back the crash that was counted when others took over: this worker is alive."""
    if claim.suspect:
        found = _deliveries().filter(pk=claim.delivery, crashes__gt=claim.crashes)
        found.update(crashes=F("crashes") - 1)


def give_up(delivery: int, reason: str) -> None:
    """Turn a dead delivery, by its number, into one that was discarded on purpose."""
    _deliveries().filter(pk=delivery, state=State.DEAD).update(
        state=State.DISCARDED, result={"discarded": reason}
    )


def message_of(claimed: Claim | Copy) -> Message:
    """Write the event as a message for its queue and subscription, however foreign it came."""
    return messages.of_event(
        claimed.event,
        exchange=conf.current().exchange,
        routing_key=claimed.routing_key,
        queue=claimed.queue,
        subscription=claimed.subscription.name,
    )


def described(error: BaseException, claim: Claim, started: datetime, worker: str) -> dict[str, Any]:
    """Describe a failed attempt for the ledger."""
    text = "".join(traceback.format_exception(error))
    return {
        "attempt": claim.attempt,
        "started": started.isoformat(),
        "duration": (datetime.now(UTC) - started).total_seconds(),
        "worker": worker,
        "exception": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": storable(_unsaid(_said(error), claim))[:1000],
        "traceback": storable(_unsaid(text, claim))[-KEPT_TRACEBACK:],
    }


def _unsaid(text: str, claim: Claim) -> str:
    """Take out of a text what the event holds that is sensitive."""
    return masking.without_values(text, claim.event.data)


def _said(error: BaseException) -> str:
    """What an error says of itself; one that fails even at that is a handler's business too."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001  # a handler's own code
        return f"(its text cannot be had: {type(failure).__name__})"


def _finish(claim: Claim, **values: Any) -> None:
    """Write the outcome and drop the lease. Raises LeaseLost as ``_write`` does."""
    _write(claim, token=None, finished_at=Now(), **values)
    _drop_lease(claim)


def _postpone(claim: Claim, delay: timedelta, *, suspect: bool = False, **values: Any) -> None:
    """Write PENDING with a new token, and the copy that carries it.

    Raises LeaseLost as ``_write`` does.
    """
    token = uuid4()
    _write(claim, token=token, state=State.PENDING, **values)
    _drop_lease(claim)
    _put_copy(claim, token, delay, suspect=suspect)


def _write(claim: Claim, **values: Any) -> None:
    """Change the row, fenced by the token.

    Raises LeaseLost when another worker has taken the delivery over; nothing is written then.
    """
    if not _deliveries().filter(pk=claim.delivery, token=claim.token).update(**values):
        raise LeaseLost(
            f"Delivery {claim.delivery} of {claim.event.id} to {claim.subscription.name!r} was "
            "taken over while it ran here (this worker was silent for longer than LEASE, or the "
            "handler ran longer than its timeout); its outcome here is not recorded."
        )


def _put_copy(claim: Claim, token: UUID, delay: timedelta, *, suspect: bool) -> None:
    """Put a copy addressed to the claim's subscription into the store."""
    headers = {REPEAT: 1} if suspect else {}
    copy = replace(message_of(claim), token=token, delay=delay, headers=headers)
    copy = signing.signed(copy)
    store.put([copy], using=conf.current().database)


def _drop_lease(claim: Claim) -> None:
    if claim.leased:
        store.drop(claim.token, using=conf.current().database)


def _errors(claim: Claim, error: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Append ``error`` to the claim's errors; old ones lose their traceback, which is long."""
    errors = [*claim.errors, *([error] if error else [])]
    old = [{**each, "traceback": ""} for each in errors[:-KEPT_TRACEBACKS]]
    return [*old, *errors[-KEPT_TRACEBACKS:]]


def _deliveries() -> Any:
    return Delivery.objects.using(conf.current().database)
