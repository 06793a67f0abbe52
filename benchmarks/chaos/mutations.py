"""How can the code be broken so that a run must notice? One way for each promise.

A green run means something because each of these makes it red
(``tests/chaos/test_the_harness_notices.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

#: Seconds between what must happen together and does not.
WINDOW = 0.3


def apply(name: str) -> None:
    """Break the code of this process in the way called ``name``."""
    MUTATIONS[name]()


def acknowledge_before_commit() -> None:
    """Tell the broker that a message is settled as soon as it has come."""
    from taskrouting.consuming.worker import Worker

    take: Callable[..., None] = Worker._take

    def hasty(self: Any, arrival: Any) -> None:
        self._settled.put(arrival)
        take(self, arrival)

    Worker._take = hasty  # type: ignore[method-assign]  # that is the mutation


def skip_the_fence() -> None:
    """Record an outcome whoever holds the token."""
    from taskrouting.consuming import ledger

    def unfenced(claim: Any, **values: Any) -> None:
        ledger._deliveries().filter(pk=claim.delivery).update(**values)

    ledger._write = unfenced


def forget_the_unique_key() -> None:
    """Let the ledger and the audit log have two rows for one event."""
    from django.db import ProgrammingError, connection

    from taskrouting.models import AuditLog, Delivery

    for model in (AuditLog, Delivery):
        for constraint in model._meta.constraints:
            try:
                with connection.schema_editor() as editor:
                    editor.remove_constraint(model, constraint)
            except ProgrammingError:
                continue  # another process was first
    connection.close()


def hand_back_through_the_exchange() -> None:
    """Return a message to all queues that want it instead of to its own."""
    from kombu import Producer

    from taskrouting import conf
    from taskrouting.transport.receiving import Receiver

    def spreading(self: Any, arrival: Any) -> None:
        _, message = self._unsettled.pop(arrival.tag, ("", None))
        if message is None:
            return
        Producer(self.connection.default_channel, auto_declare=False).publish(
            arrival.body,
            exchange=conf.current().exchange,
            routing_key=arrival.routing_key,
            content_type=arrival.content_type,
            content_encoding=arrival.content_encoding,
            **{**arrival.properties, "headers": dict(arrival.headers)},
        )
        message.ack()

    Receiver.hand_back = spreading  # type: ignore[method-assign]  # that is the mutation


def forget_before_the_confirm() -> None:
    """Delete an outbox row before the broker has its message."""
    from taskrouting.publishing.relay import Relay
    from taskrouting.transport import store

    send: Callable[..., None] = Relay._send_outbox

    def forgetful(self: Any, outbox: Any, *more: Any) -> None:
        store.settle(outbox, using=self._using)
        time.sleep(WINDOW)  # or a short run would seldom meet the moment in between
        send(self, outbox, *more)

    Relay._send_outbox = forgetful  # type: ignore[method-assign]  # that is the mutation


MUTATIONS: dict[str, Callable[[], None]] = {
    mutation.__name__: mutation
    for mutation in (
        acknowledge_before_commit,
        skip_the_fence,
        forget_the_unique_key,
        hand_back_through_the_exchange,
        forget_before_the_confirm,
    )
}
