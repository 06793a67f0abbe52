"""Explain where an event with a routing key goes, and why."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from taskrouting import catalog, topics
from taskrouting.catalog import Route, Stop
from taskrouting.management.base import RouterCommand
from taskrouting.routing.subscriptions import Subscription


class Command(RouterCommand):
    """``manage.py explain_route``."""

    help = "Say which bindings match a routing key, which queues that is, and what runs there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("key", help="The routing key, for example video.upload.")
        parser.add_argument("--json", action="store_true", help="For programs.")

    def handle(self, *, key: str, json: bool, **options: Any) -> None:
        """Explain; an event that nobody wants is an answer, not an error."""
        route = catalog.explain(key)
        self.stdout.write(_as_json(route) if json else _as_text(route))


def _as_json(route: Route) -> str:
    return json.dumps(catalog.describe_route(route), indent=2, ensure_ascii=False)


def _as_text(route: Route) -> str:
    """Draw the route as a tree."""
    head = f"{route.routing_key} on exchange {route.exchange}"
    lines = [line for stop in route.stops for line in _lines(stop)]
    if not lines:
        head += ": nobody wants it, no binding matches."
    if words := topics.wildcards(route.routing_key):
        lines.append(f"In a routing key {words[0]!r} is a word like any other; name a key that is "
                     "published.")  # fmt: skip
    return "\n".join([head, *lines])


def _lines(stop: Stop) -> list[str]:
    """Describe one queue, the bindings that lead there and what runs there."""
    left_over = "" if stop.declared else " (the code no longer declares this)"
    lines = [f"  {', '.join(stop.patterns)} → {stop.queue}{left_over}"]
    lines += [
        f"      {_named(each)}{', in batches' if each.batch else ''}" for each in stop.subscriptions
    ]
    if not stop.subscriptions:
        lines.append("      no subscription of this queue wants it: it becomes a dead letter")
    return lines


def _named(subscription: Subscription) -> str:
    """Name a subscription, and its handler where the name does not say it."""
    if subscription.name == subscription.handler_path:
        return subscription.name
    return f"{subscription.name}: {subscription.handler_path}"
