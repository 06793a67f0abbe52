"""What may an operator do with a dead letter? Redrive it or discard it.

A redrive addresses only the queue, and where one failed the subscription, that gave up:

===============================  ==============================================================
the dead letter                  what is put back
===============================  ==============================================================
of a delivery (exhausted,        a copy for that one subscription, its attempts counted anew
rejected, crashed)
of a message that arrived        the same bytes, headers and properties, for the same queue
(undecodable, not accepted,
unmatched, broker)
of a message that never left     the same message for where it was going: routed again by the
(unroutable, refused)            relay, or for its queue
===============================  ==============================================================

Closing the dead letter, the message and the event that says who did it
(``taskrouting.operator.redriven``, ``taskrouting.operator.discarded``) commit together. Whoever
comes second finds it closed, and nothing happens twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import transaction

from taskrouting import conf
from taskrouting.consuming import ledger
from taskrouting.consuming.models import Delivery
from taskrouting.dead_letters import records
from taskrouting.dead_letters.models import DeadLetter
from taskrouting.exceptions import CannotRedrive
from taskrouting.transport import messages, store
from taskrouting.transport.messages import Message

from .telling import DISCARDED, REDRIVEN, acting, tell

#: Headers that are not true of the copy that is put back: what a broker did with the first one.
STALE_HEADERS = {"x-death", "x-delivery-count"}
STALE_BEGINNINGS = ("x-first-death-", "x-last-death-")


def redrive(letter: DeadLetter, *, note: str = "", actor: str | None = None) -> bool:
    """Send ``letter`` round again; return False when somebody has redriven or discarded it before.

    ``note`` is kept with it. ``actor`` says who does it where the context does not
    (``taskrouting.middleware.ActorMiddleware``).

    Raises CannotRedrive, and leaves it open, when its delivery is not in the ledger any more or is
    not dead any more.
    """
    with acting(actor), transaction.atomic(using=_database()):
        if not records.resolve(letter, DeadLetter.Resolution.REDRIVEN, note):
            return False
        if letter.delivery is None:
            store.put([_as_it_was(letter)], using=_database())
        else:
            _revive(letter)
        _tell(REDRIVEN, letter, note)
    return True


def redrive_delivery(delivery: Delivery, *, note: str = "", actor: str | None = None) -> bool:
    """Redrive the dead letter of ``delivery``; return False when the delivery is not dead.

    Raises CannotRedrive when the dead letter, which holds the message, is not open any more.
    """
    letters = DeadLetter.objects.using(_database())
    # By the event first: that column has an index.
    mine = letters.filter(event_id=delivery.event_id, delivery=delivery.pk)
    letter = mine.filter(resolved_at=None).order_by("-pk").first()
    if letter is not None:
        return redrive(letter, note=note, actor=actor)
    if _deliveries().filter(pk=delivery.pk, state=Delivery.State.DEAD).exists():
        raise CannotRedrive(
            f"The delivery of {delivery.event_id} to {delivery.subscription!r} is dead, and no "
            "open dead letter holds its message: that was discarded, or pruned. Publish the event "
            "again under a new id."
        )
    return False


def discard(letter: DeadLetter, reason: str, *, actor: str | None = None) -> bool:
    """Close ``letter`` for good; return False when somebody has redriven or discarded it before.

    The ``reason`` is kept with it. Raises ValueError when it is blank: whoever looks later has
    nothing else to go by. ``actor`` as for ``redrive``.
    """
    if not reason.strip():
        raise ValueError("Discarding a dead letter needs a reason; give a sentence.")
    with acting(actor), transaction.atomic(using=_database()):
        if not records.resolve(letter, DeadLetter.Resolution.DISCARDED, reason):
            return False
        if letter.delivery is not None:
            ledger.give_up(letter.delivery, reason)
        _tell(DISCARDED, letter, reason)
    return True


def subject_of(letter: int) -> str:
    """Return the subject under which the audit log finds what was done to a dead letter."""
    return f"{DeadLetter._meta.label_lower}/{letter}"


def _revive(letter: DeadLetter) -> None:
    """Entitle a copy to run for the one subscription whose delivery died."""
    found = _deliveries().filter(
        pk=letter.delivery,
        event_id=letter.event_id,
        source=letter.source,
        subscription=letter.subscription,
    )
    delivery = found.only("state").first()
    if delivery is None:
        raise CannotRedrive(
            f"Dead letter {letter.pk} belongs to delivery {letter.delivery} of {letter.event_id} "
            f"to {letter.subscription!r}, which was pruned from the ledger, so nothing would keep "
            "it from running twice. Publish the event again under a new id, and discard this."
        )
    if not ledger.redrive(delivery, replace(_as_it_was(letter), subscription=letter.subscription)):
        raise CannotRedrive(
            f"The delivery of {letter.event_id} to {letter.subscription!r} is "
            f"{delivery.state}, not dead: there is nothing to run again. Discard this dead letter."
        )


def _as_it_was(letter: DeadLetter) -> Message:
    """Make the message anew. A copy that was addressed keeps its token, and with it its right."""
    headers = {
        name: value
        for name, value in letter.headers.items()
        if name not in STALE_HEADERS and not name.startswith(STALE_BEGINNINGS)
    }
    _, _, subscription, token = messages.address(headers, letter.exchange, letter.routing_key)
    return records.as_message(
        letter,
        queue=letter.queue or messages.OUTBOX,
        headers=headers,
        subscription=subscription or "",
        token=token,
    )


def _tell(routing_key: str, letter: DeadLetter, note: str) -> None:
    told: dict[str, Any] = {
        "dead_letter": letter.pk,
        "reason": letter.reason,
        "queue": letter.queue,
        "subscription": letter.subscription,
        "event_id": letter.event_id,
        "routing_key": letter.routing_key,
        "note": note,
    }
    tell(routing_key, told, subject=subject_of(letter.pk))


def _deliveries() -> Any:
    return Delivery.objects.using(_database())


def _database() -> str:
    return conf.current().database
