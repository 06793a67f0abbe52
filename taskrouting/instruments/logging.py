"""Which sentences go to the log? Receivers of the milestones; nothing else in here logs routine."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.dispatch import receiver

from taskrouting import masking, signals
from taskrouting.events import Event

logger = logging.getLogger("taskrouting")

QUIET = {"handled", "duplicate", "discarded", "snoozed"}

#: For how long at most we say nothing of a fault that lasts.
LONGEST_SILENCE = timedelta(minutes=10)

#: What was said last of each fault that lasts, and how long it had lasted then.
_told: dict[str, tuple[str, timedelta]] = {}


@receiver(signals.delivery_finished)
def _finished(
    *,
    event: Event,
    subscription: str,
    attempt: int,
    outcome: str,
    duration: timedelta,
    error: BaseException | None,
    **carries: Any,
) -> None:
    level = logging.INFO if outcome in QUIET else logging.WARNING
    logger.log(
        level,
        "%s %s (%s, attempt %d) %s in %.3f s%s",
        event.routing_key,
        event.id,
        subscription,
        attempt,
        outcome,
        duration.total_seconds(),
        _why(event, error) if error and outcome not in QUIET else "",
    )


def _why(event: Event, error: BaseException) -> str:
    return masking.without_values(f": {type(error).__name__}: {error}", event.data)


@receiver(signals.dead_letter_kept)
def _dead(*, reason: str, queue: str, subscription: str, event_id: str, **carries: Any) -> None:
    place = " ".join(filter(None, [queue, subscription])) or "the outbox"
    logger.error("Dead letter (%s) from %s: event %s", reason, place, event_id or "unknown")


@receiver(signals.fault_noticed)
def _fault(*, where: str, error: Exception, away: timedelta, **carries: Any) -> None:
    """Say it at first and when the reason changes, and else half as often as it has lasted."""
    said, since = _told.get(where, ("", timedelta(0)))
    news = str(error) != said or not away
    if news or away >= min(2 * since, since + LONGEST_SILENCE):
        _told[where] = str(error), away
        text = "trying again" if not away else f"still trying after {away.total_seconds():.0f} s"
        logger.warning("%s: %s; %s", where, error, text)


@receiver(signals.fault_recovered)
def _recovered(*, where: str, away: timedelta, **carries: Any) -> None:
    _told.pop(where, None)
    logger.warning("%s: back after %.1f s", where, away.total_seconds())


@receiver(signals.worker_started)
def _started(*, worker: str, queues: list[str], **carries: Any) -> None:
    logger.info("Worker %s consumes %s", worker, ", ".join(queues) or "nothing")


@receiver(signals.worker_stopped)
def _stopped(*, worker: str, drained: bool, **carries: Any) -> None:
    if drained:
        logger.info("Worker %s stopped", worker)
    else:
        logger.warning("Worker %s stopped with handlers still running; others go on", worker)
