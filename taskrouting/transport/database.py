"""``django://``: a Kombu transport whose broker is the project's own database.

Durable, at-least-once, shared by processes, nothing to install. Messages are rows of the store;
a delivery is a claim with a lease, an acknowledgement deletes the claimed row, a requeue makes it
due again in the queue it came from (``channel.py``). Inside taskrouting the database is the alias
that the setting ``DATABASE`` names; elsewhere ``kombu.Connection("django://reports")`` names it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from queue import Empty
from typing import Any

from django.db import DatabaseError, InterfaceError, connections
from kombu.transport import virtual

from . import store, wakeup
from .channel import Channel

#: How long a claim holds without a heartbeat, unless ``transport_options["lease"]`` says.
LEASE = timedelta(seconds=60)

#: The poll that runs whatever the wake-up says.
SAFETY_POLL = 1.0


class Transport(virtual.Transport):  # type: ignore[misc]  # kombu is untyped
    """The embedded broker: waits by the database's own wake-up and keeps its claims alive."""

    Channel = Channel
    driver_type = "sql"
    driver_name = "django"
    default_port = 0
    connection_errors = (*virtual.Transport.connection_errors, DatabaseError, InterfaceError)
    implements = virtual.Transport.implements.extend(
        exchange_type=frozenset(["direct", "topic", "fanout"])
    )

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.alias = client.transport_options.get("alias") or alias_of(client.hostname)
        self.lease: timedelta = client.transport_options.get("lease", LEASE)
        self._waiter: wakeup.Waiter | None = None
        self._extended_at = time.monotonic()
        #: When to look at the table next; ``None``: nothing is due, but when the next will be has
        #: not been asked.
        self.look_at: float | None = 0.0

    def driver_version(self) -> str:
        """Name the database engine behind the alias."""
        return connections[self.alias].vendor

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver what is due; wait up to ``timeout`` seconds for something to become due."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._keep_claims()
            if self._is_time(time.monotonic()) and self._delivered_some():
                return
            left = SAFETY_POLL if deadline is None else deadline - time.monotonic()
            if left <= 0:
                self.look_at = self.look_at or 0.0  # who never waits looks each time
                raise TimeoutError
            self._wait(min(left, SAFETY_POLL))

    def close_connection(self, connection: Any) -> None:
        """Give back what is unsettled, and the connection that listens."""
        super().close_connection(connection)
        if self._waiter is not None:
            self._waiter.close()
            self._waiter = None

    def verify_connection(self, connection: Any) -> bool:
        """Say whether the database answers; it is asked only if something was wrong with it.

        Kombu wants to know before every drain, and asking is a round trip.
        """
        database = connections[self.alias]
        return database.connection is not None and (
            not database.errors_occurred or database.is_usable()
        )

    def _is_time(self, now: float) -> bool:
        return self.look_at is not None and now >= self.look_at

    def _delivered_some(self) -> bool:
        """Let each channel deliver what it may take."""
        some = more = False
        for channel in list(self.channels):
            try:
                channel.drain_events()
                some, more = True, more or channel.left_some
            except Empty:
                continue
        if some and not more:
            self.look_at = None
        return some

    def _wait(self, seconds: float) -> None:
        """Wait for a commit, or for the moment something already there is due.

        An idle worker looks at the table once a second, however often it is asked to drain.
        """
        now = time.monotonic()
        if self.look_at is None or now >= self.look_at:
            self.look_at = now + self._next_due()
        if self._waiter is None:
            self._waiter = wakeup.waiter(self.alias)
        if self._waiter.wait(max(min(seconds, self.look_at - now), 0.001)):
            self.look_at = 0.0

    def _next_due(self) -> float:
        """Seconds until something in the queues we may take from is due, a second at most."""
        hungry = [each for channel in self.channels for each in _hungry(channel)]
        due = store.next_due(hungry, using=self.alias) if hungry else None
        return SAFETY_POLL if due is None else min(due.total_seconds(), SAFETY_POLL)

    def _keep_claims(self) -> None:
        """Extend what is unsettled well before its lease runs out."""
        if time.monotonic() - self._extended_at > self.lease.total_seconds() / 3:
            self._extended_at = time.monotonic()
            for channel in self.channels:
                store.extend(channel.qos.unsettled(), self.lease, using=self.alias)


def alias_of(hostname: str | None) -> str:
    """Read the database alias out of a ``django://`` URL's host."""
    return hostname if hostname and hostname != "localhost" else "default"


def _hungry(channel: Any) -> Iterator[str]:
    """Name the queues a channel may still take from."""
    if channel.qos.can_consume():
        yield from channel._active_queues
