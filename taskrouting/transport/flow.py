"""Does RabbitMQ read what we send? Short of memory or disk space it stops, and says so once.

From then on nothing on that connection is answered, a goodbye neither, until there is room again:
whoever goes on writing would be stuck in the socket. It tells a connection that publishes, at its
first message; that one is still taken.
"""

from __future__ import annotations

import time
from weakref import WeakKeyDictionary

from kombu import Connection

from taskrouting.exceptions import BrokerBlocked


class Flow:
    """What RabbitMQ says of one connection. Belongs to the thread that owns it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.blocked = False
        amqp = connection.connection
        amqp.on_blocked, amqp.on_unblocked = self._on_blocked, self._on_unblocked

    def fault(self) -> BrokerBlocked:
        """Say that it is blocked, in words."""
        return BrokerBlocked(
            f"{self._connection.as_uri()}: RabbitMQ takes no messages: it is short of memory or "
            "disk space (see its log, or rabbitmq-diagnostics alarms)"
        )

    def wait(self, seconds: float) -> bool:
        """Listen for up to ``seconds`` until there is room; return whether there is."""
        deadline = time.monotonic() + seconds
        while self.blocked and (left := deadline - time.monotonic()) > 0:
            self.listen(left)
        return not self.blocked

    def listen(self, seconds: float) -> None:
        """Hear what is said within ``seconds``, if anything is."""
        try:
            self._connection.drain_events(timeout=seconds)
        except TimeoutError:
            return

    def _on_blocked(self, reason: str) -> None:
        self.blocked = True

    def _on_unblocked(self) -> None:
        self.blocked = False


_flows: WeakKeyDictionary[Connection, Flow] = WeakKeyDictionary()


def of(connection: Connection) -> Flow:
    """Return the flow of an open AMQP connection."""
    if connection not in _flows:
        _flows[connection] = Flow(connection)
    return _flows[connection]


def is_blocked(connection: Connection) -> bool:
    """Say whether RabbitMQ has said so; it never does to who does not publish."""
    return connection in _flows and _flows[connection].blocked
