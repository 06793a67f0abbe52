"""When does what happen to an event? Milestones, for logging, metrics and tracing to hear.

Receivers are called with ``send_robust``: one that raises is logged and fails nothing.

=====================  ==========================================================================
signal                 carries
=====================  ==========================================================================
``event_published``    ``event``, ``using`` (alias); sent inside the business transaction, so a
                       rollback may still undo it
``event_relayed``      ``event_id``, ``routing_key``, ``queue`` (``taskrouting.outbox`` where the
                       exchange decides); the broker took responsibility for it
``relay_passed``       ``using`` (alias), ``moved``: a relay has looked at its outbox, and moved so
                       many messages; once a second where there is nothing to move
``delivery_started``   ``event``, ``subscription`` (name), ``queue``, ``attempt`` (1 = the first)
``delivery_finished``  ``event``, ``subscription``, ``queue``, ``attempt``, ``outcome`` (its name),
                       ``duration`` (timedelta), ``error`` (the exception, or ``None``)
``dead_letter_kept``   ``reason``, ``queue``, ``subscription``, ``event_id``, ``source``,
                       ``routing_key``
``batch_handled``      ``subscription``, ``queue``, ``count``, ``events``, ``duration``: these many
                       events of one batch committed together, after so long (timedelta)
``fault_noticed``      ``where``, ``error``, ``away`` (timedelta, 0 at first), ``retry_in``: broker
                       or database away; again with every attempt to reach it
``fault_recovered``    ``where``, ``away`` (timedelta)
``worker_started``     ``worker`` (its name), ``queues``
``worker_stopped``     ``worker``, ``drained`` (bool)
=====================  ==========================================================================
"""

from __future__ import annotations

import logging
from typing import Any

from django.dispatch import Signal

logger = logging.getLogger("taskrouting")

event_published = Signal()
event_relayed = Signal()
relay_passed = Signal()
delivery_started = Signal()
delivery_finished = Signal()
dead_letter_kept = Signal()
batch_handled = Signal()
fault_noticed = Signal()
fault_recovered = Signal()
worker_started = Signal()
worker_stopped = Signal()


def emit(signal: Signal, sender: object, **carries: Any) -> None:
    """Tell the receivers of ``signal``; one that raises is logged and stops nobody."""
    for receiver, answer in signal.send_robust(sender, **carries):
        if isinstance(answer, Exception):
            logger.error("The signal receiver %r failed.", receiver, exc_info=answer)
