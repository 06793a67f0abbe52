"""What becomes of a message that was on its way when its consumer was cancelled? It is delivered.

Redis answers a BRPOP that was sent before, and the message is off its list by then. Kombu knows no
consumer for it any more and requeues it by the first channel it finds, which is another queue's.
So whoever cancels goes on listening: what still comes reaches him, and he hands it back.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import virtual


def expect(channel: Any, queue: str) -> None:
    """Have ``channel`` deliver what comes from ``queue`` after its consumer was cancelled."""
    if not isinstance(channel, virtual.Channel):
        return
    cancel = channel.basic_cancel

    def basic_cancel(consumer_tag: str) -> Any:
        deliver = channel.connection._callbacks.get(queue)
        cancelled = cancel(consumer_tag)
        if deliver is not None:
            channel.connection._callbacks[queue] = deliver
        return cancelled

    channel.basic_cancel = basic_cancel
