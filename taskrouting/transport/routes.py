"""Which queues does a routing key reach, where the broker does not route itself?

The bindings of this process's topology, united with those found in the transport's shared table
(other programs bind too). What was found is remembered for a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Lock

from kombu import Connection

from taskrouting import conf
from taskrouting.routing import topology
from taskrouting.routing.subscriptions import registry
from taskrouting.routing.topology import Binding, Topology
from taskrouting.routing.tree import PatternTree

from . import models

#: Seconds for which bindings found in a shared table are believed.
FRESH = 1.0

#: Routing keys remembered per topology.
REMEMBERED = 4096


class Routes:
    """Routing keys to queues, over our bindings and those ``find`` finds."""

    def __init__(self, find: Callable[[Topology], Iterable[Binding]]) -> None:
        self._find = find
        self._lock = Lock()
        self._found_at = float("-inf")
        self._stamp: object = None
        self._bindings: frozenset[Binding] = frozenset()
        self._tree = PatternTree([])
        self._known: dict[str, list[str]] = {}

    def queues(self, routing_key: str) -> list[str]:
        """Return the names of the queues that want ``routing_key``, each once."""
        with self._lock:
            self._refresh()
            if routing_key not in self._known:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[routing_key] = sorted(self._tree.find(routing_key))
            return self._known[routing_key]

    def _refresh(self) -> None:
        stamp = (conf.current(), registry.version)
        if self._stamp == stamp and time.monotonic() - self._found_at < FRESH:
            return
        self._stamp = stamp
        current = topology.current()
        bindings = frozenset([*current.bindings, *self._find(current)])
        if bindings != self._bindings:
            self._bindings = bindings
            self._tree = PatternTree((each.pattern, each.queue) for each in bindings)
            self._known.clear()
        self._found_at = time.monotonic()


def of_database(alias: str) -> Routes:
    """Routes of the embedded broker on the database ``alias``."""
    return Routes(lambda current: _stored(alias, current.exchange))


def of_connection(connection: Connection) -> Routes:
    """Routes of a virtual transport, by an open connection to it."""
    channel = connection.default_channel

    def table(current: Topology) -> list[Binding]:
        return [
            Binding(pattern, queue) for pattern, _, queue in channel.get_table(current.exchange)
        ]

    return Routes(table)


def _stored(alias: str, exchange: str) -> list[Binding]:
    stored = models.Binding.objects.using(alias).filter(broker="", exchange=exchange)
    return [Binding(pattern, queue) for pattern, queue in stored.values_list("pattern", "queue")]
