"""Do the declared events have routing keys that mean what they say?"""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage, Warning

from taskrouting import conf, topics
from taskrouting.publishing.declarations import registry

from .registering import check


@check
def keys_are_no_patterns(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W015: whoever wrote ``user.#`` here was thinking of a subscription."""
    for capture in registry:
        for key in filter(None, (capture.created, capture.updated, capture.deleted)):
            if words := topics.wildcards(key):
                yield Warning(
                    f"@publishes({capture.model._meta.label}) on {capture.place}: the routing key "
                    f"{key!r} holds the word {words[0]!r}, which is no wildcard there.",
                    hint="An event happens under one key, 'user.created'; patterns are for "
                    "@subscribe.",
                    id="taskrouting.W015",
                )
