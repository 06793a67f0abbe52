"""Who wants which events? ``@subscribe``, the registry, and how subscribers are found.

A subscription is a name, patterns, a queue, a handler and a policy::

    @subscribe("video.#", queue="video_queue", effects="external")
    def transcode(event): ...

What runs is decided by the queue a message came from and the subscription's patterns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from inspect import isasyncgenfunction, isgeneratorfunction, signature, unwrap
from typing import Any, TypeVar

from django.utils.module_loading import autodiscover_modules

from taskrouting import topics
from taskrouting.durations import Duration, as_duration
from taskrouting.exceptions import ConfigurationError
from taskrouting.policies import Batch, Retry

logger = logging.getLogger("taskrouting.subscriptions")

Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)
P = TypeVar("P", Retry, Batch)

EFFECTS = ("database", "external")
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One handler's standing order for events."""

    #: Identity in ledger and admin.
    name: str

    #: Topic patterns; an event that matches any of them is wanted once.
    patterns: tuple[str, ...]

    #: The queue whose messages this subscription looks at.
    queue: str

    #: Called with the event, or with a list of events where ``batch`` is set.
    handler: Handler

    #: What happens after a failed attempt.
    retry: Retry = field(default_factory=Retry)

    #: ``"database"``: the handler's writes commit with the claim; ``"external"``: anything else.
    effects: str = "database"

    #: Collect events and hand them over together.
    batch: Batch | None = None

    #: Longest time one attempt may take.
    timeout: timedelta | None = None

    #: False where the handler's own table refuses a second copy (the audit log), so that the
    #: ledger need not.
    ledger: bool = True

    @property
    def handler_path(self) -> str:
        """Where the handler is written: ``videos.subscribers.transcode``."""
        return _place(self.handler)

    def wants(self, routing_key: str) -> bool:
        """Say whether any of the patterns matches."""
        return any(topics.matches(pattern, routing_key) for pattern in self.patterns)


class Registry:
    """The subscriptions this process knows, by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Subscription] = {}
        #: Counts the changes, for those who remember what follows from the subscriptions.
        self.version = 0

    def __iter__(self) -> Iterator[Subscription]:
        return iter(list(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, subscription: Subscription) -> None:
        """Register ``subscription``.

        A module that is loaded again replaces its subscriptions. Raises ConfigurationError when
        the name belongs to another handler, or to this one with other words: give one a ``name=``.
        """
        known = self._by_name.get(subscription.name)
        if known and known != subscription and not _reloaded(known.handler, subscription.handler):
            raise ConfigurationError(
                f"Two subscriptions are named {subscription.name!r}: {known.handler_path} for "
                f"{_listed(known.patterns)} and {subscription.handler_path} for "
                f"{_listed(subscription.patterns)}. Give one of them another name=."
            )
        self._by_name[subscription.name] = subscription
        self.version += 1

    def remove(self, name: str) -> None:
        """Forget the subscription ``name``; an unknown name is fine."""
        self._by_name.pop(name, None)
        self.version += 1

    def get(self, name: str) -> Subscription | None:
        """Return the subscription ``name``, if this process knows it."""
        return self._by_name.get(name)

    def on_queue(self, queue: str) -> list[Subscription]:
        """Return the subscriptions that look at ``queue``."""
        return [subscription for subscription in self if subscription.queue == queue]

    def wanting(self, queue: str, routing_key: str) -> list[Subscription]:
        """Return the subscriptions of ``queue`` that want ``routing_key``."""
        return [each for each in self.on_queue(queue) if each.wants(routing_key)]


#: The registry of this process; ``@subscribe`` adds to it.
registry = Registry()


def subscribe(
    *patterns: str,
    queue: str | None = None,
    name: str | None = None,
    retry: Retry | None = None,
    effects: str = "database",
    batch: Batch | None = None,
    timeout: Duration | None = None,
) -> Callable[[H], H]:
    """Run the decorated handler for every event that matches one of ``patterns``.

    ``name`` is the subscription's identity (default: the handler's dotted path); renaming it makes
    a new subscription. ``queue`` defaults to the name. With ``effects="database"`` (default) the
    handler runs inside the transaction that records it, so its writes happen exactly once; with
    ``effects="external"`` no transaction is open and ``event.idempotency_key(name)`` is there to
    pass on. ``async def`` handlers work.

    Raises ConfigurationError or InvalidPattern where it is declared.
    """
    _refuse_bare(patterns)

    def register(handler: H) -> H:
        identity = name if name is not None else _default_name(handler)
        registry.add(
            Subscription(
                name=_checked(identity, "name", identity),
                patterns=_patterns(patterns, identity),
                queue=_checked(queue if queue is not None else identity, "queue", identity),
                handler=_usable(handler, identity),
                retry=_kind(retry, Retry, identity) or Retry(),
                effects=_effects(effects, batch, identity),
                batch=_kind(batch, Batch, identity),
                timeout=_timeout(timeout, identity),
            )
        )
        return handler

    return register


def autodiscover() -> None:
    """Import ``events.py`` and ``subscribers.py`` of every installed app."""
    autodiscover_modules("events", "subscribers")


def _refuse_bare(patterns: tuple[object, ...]) -> None:
    """Refuse ``@subscribe`` without parentheses, which hands us the handler as its pattern."""
    _refuse_handler(patterns)


def _default_name(handler: Handler) -> str:
    """Name a subscription after its handler's dotted path."""
    if "<" in getattr(handler, "__qualname__", "<"):
        raise ConfigurationError(
            f"{handler!r} has no dotted path that would stay the same (a lambda, a partial or a "
            "function inside a function); give @subscribe a name=."
        )
    return f"{handler.__module__}.{handler.__qualname__}"


def _checked(text: object, what: str, identity: object) -> str:
    """Refuse a name or queue that a broker or a database column could not hold."""
    if isinstance(text, str) and text and text.isprintable() and len(text.encode()) <= LONGEST_NAME:
        return text
    raise ConfigurationError(
        f"Subscription {identity!r}: {what} is {text!r}; it must be printable text of 1 to "
        f"{LONGEST_NAME} bytes."
    )


def _refuse_handler(patterns: tuple[object, ...]) -> None:
    """Refuse ``@subscribe`` without parentheses, which would subscribe nobody."""
    if patterns and callable(patterns[0]):
        raise ConfigurationError(
            f'@subscribe on {_place(patterns[0])} has no pattern; write @subscribe("video.#").'
        )


def _patterns(patterns: tuple[str, ...], identity: str) -> tuple[str, ...]:
    """Refuse patterns that could never match, and a subscription without any."""
    if not patterns:
        raise ConfigurationError(
            f'Subscription {identity!r} has no pattern; write @subscribe("video.#").'
        )
    return tuple(dict.fromkeys(topics.validate_pattern(pattern) for pattern in patterns))


def _effects(effects: str, batch: Batch | None, identity: str) -> str:
    """Refuse an unknown kind of effects, and batches whose culprit could not be told apart."""
    if effects not in EFFECTS:
        raise ConfigurationError(
            f"Subscription {identity!r}: effects is {effects!r}; it must be 'database' or "
            "'external'."
        )
    if batch and effects == "external":
        raise ConfigurationError(
            f"Subscription {identity!r}: a batch needs effects='database', since a batch that "
            "fails is rolled back and split to find the culprit. Take single events instead."
        )
    return effects


def _usable(handler: H, identity: str) -> H:
    """Refuse a handler that could not be called with an event, or would do nothing if it were."""
    if isgeneratorfunction(handler) or isasyncgenfunction(handler):
        raise ConfigurationError(
            f"Subscription {identity!r}: {_place(handler)} is a generator, and calling one runs "
            "nothing of it. Take the yield out."
        )
    try:
        signature(handler).bind("an event")
    except TypeError as error:
        raise ConfigurationError(
            f"Subscription {identity!r}: {_place(handler)} must take one argument, the event "
            f"({error})."
        ) from error
    except ValueError as error:  # written in C: only its first call can tell
        logger.debug("Subscription %r: %r was not checked: %s", identity, handler, error)
    return handler


def _kind(value: P | None, kind: type[P], identity: str) -> P | None:
    """Refuse a policy of another class."""
    if value is None or isinstance(value, kind):
        return value
    raise ConfigurationError(
        f"Subscription {identity!r}: {kind.__name__.lower()} is {value!r}; give a "
        f"taskrouting.{kind.__name__}."
    )


def _timeout(value: Duration | None, identity: str) -> timedelta | None:
    if value is None:
        return None
    return as_duration(value, f"Subscription {identity!r}: timeout")


def _reloaded(known: Handler, handler: Handler) -> bool:
    """Say whether ``handler`` is what the same lines of the same module now define."""
    if known is handler or _place(known) != _place(handler):
        return False
    return _line(known) == _line(handler)


def _line(handler: Handler) -> int | None:
    code = getattr(unwrap(handler), "__code__", None)
    return code.co_firstlineno if code else None


def _listed(patterns: tuple[str, ...]) -> str:
    return ", ".join(repr(pattern) for pattern in patterns)


def _place(handler: Handler) -> str:
    """Say where a handler is written."""
    return f"{handler.__module__}.{getattr(handler, '__qualname__', repr(handler))}"
