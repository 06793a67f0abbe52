"""What is installed here, and where does an event go? The routing as values that JSON can say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from taskrouting import conf, topics
from taskrouting.policies import Batch, Retry
from taskrouting.routing import topology
from taskrouting.routing.subscriptions import Subscription, registry
from taskrouting.routing.topology import Binding
from taskrouting.transport import broker, declared

Description = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A queue that a routing key reaches."""

    queue: str

    #: The patterns of the bindings that lead here.
    patterns: tuple[str, ...]

    #: False where only the broker knows these bindings: the code no longer declares them, or
    #: another program made them.
    declared: bool

    #: Who runs there.
    subscriptions: tuple[Subscription, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where an event with this routing key goes; no stops: nobody wants it."""

    routing_key: str
    exchange: str
    stops: tuple[Stop, ...]


def explain(routing_key: str) -> Route:
    """Say which bindings match ``routing_key``, which queues that is, and what runs there.

    Asks no broker. Beside the code's bindings those count that the database knows: the bindings of
    ``django://``, and those that were made on another broker and have not been removed since.
    Raises InvalidRoutingKey for a key under which nothing can be published.
    """
    topics.validate_routing_key(routing_key)
    current = topology.current()
    found: dict[str, list[Binding]] = {}
    for binding in sorted({*current.bindings, *_stored()}, key=lambda each: each.pattern):
        if binding.matches(routing_key):
            found.setdefault(binding.queue, []).append(binding)
    return Route(
        routing_key=routing_key,
        exchange=current.exchange,
        stops=tuple(
            Stop(
                queue=queue,
                patterns=tuple(binding.pattern for binding in bindings),
                declared=any(binding in current.bindings for binding in bindings),
                subscriptions=tuple(registry.wanting(queue, routing_key)),
            )
            for queue, bindings in sorted(found.items())
        ),
    )


def describe() -> Description:
    """Describe the installation: exchange, queues with their bindings, subscriptions."""
    current, settings = topology.current(), conf.current()
    return {
        "source": settings.source,
        "broker": broker.capabilities(settings.broker_url).name,
        "exchange": {"name": current.exchange, "type": "topic", "durable": True},
        "queues": [describe_queue(queue) for queue in current.queues],
        "subscriptions": [describe_subscription(each) for each in _by_name(registry)],
    }


def describe_route(route: Route) -> Description:
    """Describe a route."""
    return {
        "routing_key": route.routing_key,
        "exchange": route.exchange,
        "queues": [
            {
                "name": stop.queue,
                "patterns": list(stop.patterns),
                "declared": stop.declared,
                "subscriptions": [describe_subscription(each) for each in stop.subscriptions],
            }
            for stop in route.stops
        ],
    }


def describe_queue(queue: topology.Queue) -> Description:
    """Describe a queue."""
    return {
        "name": queue.name,
        "type": queue.type,
        "durable": True,
        "prefetch": queue.prefetch,
        "arguments": dict(queue.arguments),
        "bindings": list(queue.patterns),
    }


def describe_subscription(subscription: Subscription) -> Description:
    """Describe a subscription; durations are in seconds."""
    return {
        "name": subscription.name,
        "patterns": list(subscription.patterns),
        "queue": subscription.queue,
        "handler": subscription.handler_path,
        "effects": subscription.effects,
        "retry": _retry(subscription.retry),
        "batch": _batch(subscription.batch),
        "timeout": _seconds(subscription.timeout),
    }


def _stored() -> set[Binding]:
    """The bindings that are in the database, whether the code still declares them or not."""
    settings = conf.current()
    can = broker.capabilities(settings.broker_url)
    name = "" if can.embedded else can.name
    return declared.bindings(name, settings.exchange, using=settings.database)


def _retry(retry: Retry) -> Description:
    return {
        "max_attempts": retry.max_attempts,
        "base": _seconds(retry.base),
        "ceiling": _seconds(retry.ceiling),
        "retry_on": [_class_path(each) for each in retry.retry_on],
        "reject_on": [_class_path(each) for each in retry.reject_on],
    }


def _batch(batch: Batch | None) -> Description | None:
    return {"size": batch.size, "wait": _seconds(batch.wait)} if batch else None


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _class_path(error: type[BaseException]) -> str:
    return f"{error.__module__}.{error.__qualname__}".removeprefix("builtins.")


def _by_name(subscriptions: Any) -> list[Subscription]:
    return sorted(subscriptions, key=lambda each: each.name)
