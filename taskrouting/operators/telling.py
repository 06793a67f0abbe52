"""How does it become known what an operator did? As an event, in the transaction of the deed."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from taskrouting import conf, context, log_fields
from taskrouting.publishing import publisher
from taskrouting.routing import topology

logger = logging.getLogger("taskrouting.operators")

REDRIVEN = "taskrouting.operator.redriven"
DISCARDED = "taskrouting.operator.discarded"
PRUNED = "taskrouting.operator.pruned"
UNBOUND = "taskrouting.operator.unbound"
PAUSED = "taskrouting.operator.paused"
RESUMED = "taskrouting.operator.resumed"
STOPPED = "taskrouting.operator.stopped"
RESTARTED = "taskrouting.operator.restarted"
EXPORTED = "taskrouting.operator.exported"
SWEEP_BEGUN = "taskrouting.operator.sweep.begun"
SWEEP_STOPPED = "taskrouting.operator.sweep.stopped"
SWEEP_FINISHED = "taskrouting.operator.sweep.finished"
SWEEP_FAILED = "taskrouting.operator.sweep.failed"


def acting(actor: str | None) -> AbstractContextManager[None]:
    """Let ``actor`` be who acts in a block; ``None`` leaves it to the context."""
    return nullcontext() if actor is None else context.acting(actor=actor)


def tell(routing_key: str, told: dict[str, Any], *, subject: str | None = None) -> None:
    """Publish what was done, where anybody wants to know it."""
    if topology.current().route(routing_key):
        publisher.publish(routing_key, told, subject=subject, using=conf.current().database)
    else:
        # Without an audit log it would become an unroutable dead letter, to be discarded in turn.
        fields = log_fields.about(routing_key=routing_key)
        logger.info("%s: %s; untold, for no queue wants it.", routing_key, told, extra=fields)
