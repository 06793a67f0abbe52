"""Explain where an event with a routing key goes, and what a pattern would have caught."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from taskrouting import catalog, topics
from taskrouting.audit import keys
from taskrouting.audit.keys import Catch
from taskrouting.catalog import Route, Stop
from taskrouting.management.base import RouterCommand
from taskrouting.routing.subscriptions import Subscription


class Command(RouterCommand):
    """``manage.py explain_route``."""

    help = (
        "Say which bindings match a routing key, which queues that is, and what runs there; or "
        "which routing keys of the last days a pattern matches, by the audit log."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("key", nargs="?", help="The routing key, for example video.upload.")
        parser.add_argument("--pattern", help="Instead of a key: a pattern, for example video.#.")
        parser.add_argument("--json", action="store_true", help="For programs.")

    def handle(self, *, key: str | None, pattern: str | None, json: bool, **options: Any) -> None:
        """Explain; an event that nobody wants is an answer, not an error."""
        if (key is None) == (pattern is None):
            raise CommandError("Name a routing key, or a pattern with --pattern; one of them.")
        if pattern is not None:
            found = keys.caught(pattern)
            self.stdout.write(_as_json(keys.describe(found)) if json else _caught(found))
        elif key is not None:
            route = catalog.explain(key)
            told = _as_json(catalog.describe_route(route)) if json else _as_text(route)
            self.stdout.write(told)


def _as_json(told: dict[str, Any]) -> str:
    return json.dumps(told, indent=2, ensure_ascii=False)


def _caught(found: Catch) -> str:
    """Write what a pattern would have caught as a table, and what was likely not meant."""
    lines = _table(found)
    if words := topics.suspicious_words(found.pattern):
        lines.append(f"In {words[0]!r} the sign stands for itself: * and # stand for whole words.")
    return "\n".join(lines)


def _table(found: Catch) -> list[str]:
    if found.since is None:
        return ["The audit log has no event of the last seven days."]
    head = f"{found.pattern} since {found.since:%Y-%m-%d %H:%M}: {found.an_hour:.1f} an hour"
    lines = [
        f"  {key.count}{'+' if key.more else ''}\t{key.an_hour:.1f} an hour\t{key.routing_key}"
        for key in found.keys
    ]
    if found.cut:
        lines.append(f"This is not all: {found.looked_at} routing keys were looked at. Begin "
                     "the pattern with more words.")  # fmt: skip
    return [head, *lines]


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
