"""How are Redis's queues written to and looked at? Lists, one per queue and priority.

Does what was sent before still wait its turn? A list is first in, first out. While its next message
is one that was sent earlier, a later one has not had its turn; and what Redis lost, in a flush or
between a pop and its note of it, was sent before everything that waits now. So nothing needs to be
remembered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

from .messages import RELAYED_AT

#: The tail of the list, from which Kombu pops.
NEXT = -1


def longest_wait(channel: Any, queue: str, priority: int) -> timedelta:
    """How long has the next message of ``queue`` at Redis's ``priority`` waited since it was sent?

    Zero when nothing waits there, or when another program's message is next.
    """
    client: Any
    with channel.conn_or_acquire() as client:
        # Kombu's client puts the prefix before the keys of those commands only that Kombu uses.
        key = f"{channel.global_keyprefix}{channel._q_for_pri(queue, priority)}"
        payload = client.lindex(key, NEXT)
    if payload is None:
        return timedelta(0)
    sent = _relayed_at(payload)
    return timedelta(0) if sent is None else max(datetime.now(UTC) - sent, timedelta(0))


def _relayed_at(payload: bytes) -> datetime | None:
    """Read when our relay sent a message; None for what is not ours."""
    try:
        headers = json.loads(payload)["headers"]
        sent = datetime.fromisoformat(headers[RELAYED_AT])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return sent if sent.tzinfo else None


@contextmanager
def together(channel: Any) -> Iterator[None]:
    """Let everything that is published on ``channel`` in the block travel at once, in its end.

    Kombu sends a command for each message and waits for the answer; here one command takes all of a
    list's messages, in their order, and is waited for once.
    """
    client: Any
    pipeline: Any
    with channel.conn_or_acquire() as client, client.pipeline(transaction=False) as pipeline:
        lists = _Lists()
        channel.conn_or_acquire = lambda client=None: nullcontext(lists)
        try:
            yield
        finally:
            del channel.conn_or_acquire
        for key, payloads in lists.pushed.items():
            pipeline.lpush(key, *payloads)
        pipeline.execute()


class _Lists:
    """Stands where Kombu expects a client to push to; it publishes by nothing else."""

    def __init__(self) -> None:
        self.pushed: dict[str, list[str]] = {}

    def lpush(self, key: str, payload: str) -> None:
        """Note what is to be pushed."""
        self.pushed.setdefault(key, []).append(payload)
