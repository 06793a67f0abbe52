"""How does an operator let a queue rest, and go on? By a row that every worker looks at.

Workers stop taking from it within a few seconds and finish what they have taken. What is published
goes on arriving in it; retries that fall due wait there too.
"""

from __future__ import annotations

from django.db import transaction

from taskrouting import conf, context, events
from taskrouting.consuming import pauses
from taskrouting.routing import topology

from .telling import PAUSED, RESUMED, acting, tell


def pause(queue: str, reason: str = "", *, actor: str | None = None) -> bool:
    """Let ``queue`` rest until ``resume``; return False when it does already.

    The ``reason`` is kept and shown. ``actor`` says who does it where the context does not
    (``taskrouting.middleware.ActorMiddleware``).
    Raises ConfigurationError for a queue that the code does not declare.
    """
    topology.chosen([queue])
    with acting(actor), transaction.atomic(using=conf.current().database):
        who = (context.current().actor or "")[: events.MAX_LENGTH]
        if not pauses.pause(queue, reason, who):
            return False
        tell(PAUSED, {"queue": queue, "reason": reason}, subject=subject_of(queue))
    return True


def resume(queue: str, *, actor: str | None = None) -> bool:
    """Let ``queue`` go on; return False when it was not paused. ``actor`` as for ``pause``.

    Raises ConfigurationError for a queue that is not paused and that the code does not declare.
    """
    if queue not in pauses.paused():
        topology.chosen([queue])
    with acting(actor), transaction.atomic(using=conf.current().database):
        if not pauses.resume(queue):
            return False
        tell(RESUMED, {"queue": queue}, subject=subject_of(queue))
    return True


def subject_of(queue: str) -> str:
    """Return the subject under which the audit log finds what was done to a queue."""
    return f"taskrouting.queue/{queue}"[: events.MAX_LENGTH]
