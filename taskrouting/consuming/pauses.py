"""Which queues rest? Those that an operator has paused, until somebody resumes them.

A pause is a row that every worker looks at. What is published goes on arriving in the queue; what a
worker has taken from it already is finished.
"""

from __future__ import annotations

from typing import Any

from taskrouting import conf

from .models import Pause


def paused() -> dict[str, Pause]:
    """Return the pauses by their queue."""
    return {each.queue: each for each in _pauses().order_by("queue")}


def pause(queue: str, reason: str, actor: str) -> bool:
    """Let ``queue`` rest; return False when it does already."""
    _, new = _pauses().get_or_create(queue=queue, defaults={"reason": reason, "actor": actor})
    return bool(new)


def resume(queue: str) -> bool:
    """Let ``queue`` go on; return False when it was not paused."""
    gone, _ = _pauses().filter(queue=queue).delete()
    return bool(gone)


def _pauses() -> Any:
    return Pause.objects.using(conf.current().database)
