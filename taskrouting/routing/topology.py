"""Which exchange, queues and bindings does this installation imply? Plain values, no broker.

::

    publish("video.upload") ──► media_exchange ──video.#──► video_queue ──► transcode
                                     └──────────────#──► audit_queue ──► AuditLog
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from taskrouting import conf, topics
from taskrouting.exceptions import ConfigurationError
from taskrouting.routing import subscriptions


@dataclass(frozen=True, slots=True)
class Binding:
    """A queue's standing order to the exchange."""

    pattern: str
    queue: str

    def matches(self, routing_key: str) -> bool:
        """Say whether a message with ``routing_key`` goes to the queue."""
        return topics.matches(self.pattern, routing_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A durable queue and what it receives."""

    name: str
    patterns: tuple[str, ...]
    type: str = "quorum"
    prefetch: int = 32
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bindings(self) -> list[Binding]:
        """The queue's bindings."""
        return [Binding(pattern, self.name) for pattern in self.patterns]

    @property
    def single(self) -> bool:
        """Whether the broker serves one consumer at a time, and the others wait for their turn."""
        return bool(self.arguments.get("x-single-active-consumer"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """One durable topic exchange and the queues bound to it."""

    exchange: str
    queues: tuple[Queue, ...]

    @property
    def bindings(self) -> list[Binding]:
        """Every binding of the exchange."""
        return [binding for queue in self.queues for binding in queue.bindings]

    def queue(self, name: str) -> Queue | None:
        """Return the queue ``name``, if it is ours."""
        return next((queue for queue in self.queues if queue.name == name), None)

    def route(self, routing_key: str) -> list[Binding]:
        """Return the bindings that want ``routing_key``."""
        return [binding for binding in self.bindings if binding.matches(routing_key)]


def current() -> Topology:
    """Build the topology from settings and from every registered subscription."""
    settings = conf.current()
    wanted: dict[str, list[str]] = {name: list(q.bindings) for name, q in settings.queues.items()}
    for subscription in subscriptions.registry:
        wanted.setdefault(subscription.queue, []).extend(subscription.patterns)
    return Topology(
        exchange=settings.exchange,
        queues=tuple(_queue(name, patterns) for name, patterns in sorted(wanted.items())),
    )


def chosen(names: Sequence[str] | None) -> list[Queue]:
    """Find the queues to consume: those named, or all.

    Raises ConfigurationError for one that no subscription declares.
    """
    topology = current()
    if names is None:
        return list(topology.queues)
    chosen = []
    for name in names:
        found = topology.queue(name)
        if found is None:
            known = ", ".join(each.name for each in topology.queues)
            raise ConfigurationError(f"No subscription uses a queue {name!r}; there are: {known}.")
        chosen.append(found)
    return chosen


def _queue(name: str, patterns: list[str]) -> Queue:
    """Tune one queue as the settings say."""
    settings = conf.current()
    tuning = settings.queues.get(name, conf.QueueSettings())
    return Queue(
        name=name,
        patterns=widest(patterns),
        type=tuning.type,
        prefetch=tuning.prefetch or settings.prefetch,
        arguments=tuning.arguments,
    )


def widest(patterns: Iterable[str]) -> tuple[str, ...]:
    """Drop every pattern that another one covers: ``video.#`` says all that ``video.upload`` does.

    A queue gets one copy of a message however many of its bindings match, so this changes nothing
    but the number of bindings.
    """
    kept: list[str] = []
    for pattern in sorted(set(patterns), key=lambda each: (-each.count("#"), len(each), each)):
        if not any(covers(wide, pattern) for wide in kept):
            kept = [other for other in kept if not covers(pattern, other)] + [pattern]
    return tuple(sorted(kept))


def covers(wide: str, narrow: str) -> bool:
    """Say whether every routing key that matches ``narrow`` surely matches ``wide``.

    True is a proof; False may miss a case (``*.#`` covers ``#.*``), which costs one binding.
    """
    return _covers(_words(wide), _words(narrow))


def _words(pattern: str) -> tuple[str, ...]:
    """Split at the dots; the empty pattern has no words."""
    return tuple(pattern.split(".")) if pattern else ()


@lru_cache(maxsize=4096)
def _covers(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    """Match the words of ``narrow`` against ``wide`` as if they were a routing key."""
    if not wide:
        return not narrow
    if wide[0] == "#":
        return _covers(wide[1:], narrow) or (bool(narrow) and _covers(wide, narrow[1:]))
    if not narrow or narrow[0] == "#":
        return False
    return wide[0] in ("*", narrow[0]) and _covers(wide[1:], narrow[1:])
