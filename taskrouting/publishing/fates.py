"""What follows from what became of a message that was sent?"""

from __future__ import annotations

from collections.abc import Sequence

from taskrouting import signals
from taskrouting.dead_letters import records
from taskrouting.dead_letters.models import DeadLetter
from taskrouting.transport.messages import OUTBOX
from taskrouting.transport.sending import Fate, Refusal
from taskrouting.transport.store import Claimed


def keep_refused(row: Claimed, reason: str) -> None:
    """Keep a message that the broker does not take as a dead letter."""
    message = row.message
    queue = "" if message.queue == OUTBOX else f" for queue {message.queue!r}"
    text = f"The broker does not take {message.routing_key!r}{queue}: {reason}."
    records.keep_message(message, DeadLetter.Reason.REFUSED, text)


def worst(fates: Sequence[Fate | Refusal]) -> Fate | Refusal:
    """The fate of an event is that of its unluckiest copy; without copies it is done with."""
    for fate in fates:
        if isinstance(fate, Refusal):
            return fate
    order = (Fate.UNKNOWN, Fate.NACKED, Fate.UNROUTABLE)
    return next((fate for fate in order if fate in fates), Fate.CONFIRMED)


def tell(rows: Sequence[Claimed]) -> None:
    """Say of each row that the broker has its message."""
    for row in rows:
        signals.emit(
            signals.event_relayed,
            Claimed,
            event_id=row.message.event_id,
            routing_key=row.message.routing_key,
            queue=row.message.queue,
        )
