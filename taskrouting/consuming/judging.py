"""What becomes of a delivery whose handler raised? The outcome is a value."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any

from taskrouting import conf
from taskrouting.dead_letters import records
from taskrouting.dead_letters.models import DeadLetter
from taskrouting.exceptions import Discard, LeaseLost, Reject, Snooze

from . import ledger
from .claims import Claim

Reason = DeadLetter.Reason


class Outcome(Enum):
    """What became of one copy of an event for one subscription."""

    HANDLED = "handled"
    DUPLICATE = "duplicate"
    RETRY = "retry"
    SNOOZED = "snoozed"
    DEAD = "dead"
    DISCARDED = "discarded"

    #: Another worker took the delivery over; nothing was recorded here.
    LOST = "lost"


def judge(claim: Claim, error: BaseException, started: datetime, worker: str) -> Outcome:
    """Turn what the handler raised into an outcome, and write it in the open transaction."""
    match error:
        case LeaseLost():
            raise error
        case Snooze():
            ledger.snooze(claim, error.delay)
            return Outcome.SNOOZED
        case Discard():
            ledger.discard(claim, error.reason)
            return Outcome.DISCARDED
    described = ledger.described(error, claim, started, worker)
    retry = claim.subscription.retry
    if isinstance(error, Reject):
        bury(claim, Reason.REJECTED, described)
    elif retry.allows(_failure(error), claim.attempt):
        ledger.retry(claim, described, retry.next_delay(claim.attempt))
        return Outcome.RETRY
    else:
        bury(claim, Reason.EXHAUSTED, described)
    return Outcome.DEAD


def bury(claim: Claim, reason: Reason, error: dict[str, Any] | None) -> None:
    """Record DEAD and keep the dead letter, in the open transaction."""
    ledger.bury(claim, error)
    crashed = (
        f"Its worker fell silent {claim.crashes} times while it ran; MAX_CRASHES is "
        f"{conf.current().max_crashes}."
    )
    text = error["traceback"] if error else crashed
    records.keep_message(ledger.message_of(claim), reason, text, delivery=claim.delivery)


def _failure(error: BaseException) -> Exception:
    """A handler that calls ``sys.exit`` or is cancelled has failed like any other."""
    return error if isinstance(error, Exception) else RuntimeError(repr(error))
