"""Which sentences go to the log? Receivers of the milestones; nothing else in here logs routine.

A line about an event has its id, key, subscription and attempt as fields (``log_fields``), for
formatters that write JSON. ``EventFilter`` gives them to every other line that is written while an
event is handled.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.dispatch import receiver

from taskrouting import context, log_fields, masking, signals
from taskrouting.events import Event

logger = logging.getLogger("taskrouting")

QUIET = {"handled", "duplicate", "discarded", "snoozed"}

#: For how long at most we say nothing of a fault that lasts.
LONGEST_SILENCE = timedelta(minutes=10)

#: What was said last of each fault that lasts, and how long it had lasted then.
_told: dict[str, tuple[str, timedelta]] = {}


class EventFilter(logging.Filter):
    """Says on every line which event is being handled, for whom, and which try it is.

    Name it in ``LOGGING`` and put it on handlers: on a logger it would see only that logger's own
    lines. It drops nothing. A line in a web request has the request's correlation id; what is not
    known is ``None``.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields that the line does not have yet."""
        here = context.unasked()
        known: dict[str, Any] = {"correlation_id": here.correlation_id}
        if here.handling is not None:
            known |= log_fields.while_handling(here.handling)
        for name in log_fields.FIELDS:
            if getattr(record, name, None) is None:
                setattr(record, name, known.get(name))
        return True


@receiver(signals.delivery_finished)
def _finished(
    *,
    event: Event,
    subscription: str,
    queue: str,
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
        extra=log_fields.about(
            event,
            subscription=subscription,
            queue=queue,
            attempt=attempt,
            outcome=outcome,
            duration=duration.total_seconds(),
        ),
    )


def _why(event: Event, error: BaseException) -> str:
    return masking.without_values(f": {type(error).__name__}: {error}", event.data)


@receiver(signals.dead_letter_kept)
def _dead(
    *,
    reason: str,
    queue: str,
    subscription: str,
    event_id: str,
    source: str,
    routing_key: str,
    **carries: Any,
) -> None:
    place = " ".join(filter(None, [queue, subscription])) or "the outbox"
    fields = log_fields.about(
        event_id=event_id or None,
        event_source=source or None,
        routing_key=routing_key or None,
        subscription=subscription or None,
        queue=queue or None,
        reason=reason,
    )
    text = "Dead letter (%s) from %s: event %s"
    logger.error(text, reason, place, event_id or "unknown", extra=fields)


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
