"""Which rows, kept until they are received, are sent again?"""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from taskrouting.publishing import keeping
from taskrouting.transport.messages import Message
from taskrouting.transport.store import Claimed


class Empty:
    """A broker on which nothing waits, so that nothing waits behind others."""

    def longest_wait(self, queue: str, priority: int) -> timedelta:
        """Nothing waits."""
        return timedelta(0)


def row(deliveries: int) -> Claimed:
    """A row that has been handed out so often, this time included."""
    message = Message(queue="video_queue", body=b"", routing_key="video.upload")
    return Claimed(id=deliveries, claim=uuid4(), message=message, deliveries=deliveries)


def test_a_paused_queue_gets_nothing_twice() -> None:
    """What was sent before waits there, however long the pause; what is new is sent."""
    new, old, older = row(1), row(2), row(40)

    to_send, waiting = keeping.parted([new, old, older], Empty(), rests=True)  # type: ignore[arg-type]
    assert (to_send, waiting) == ([new], [old, older])

    to_send, waiting = keeping.parted([new, old, older], Empty())  # type: ignore[arg-type]
    assert (to_send, waiting) == ([new, old, older], [])
