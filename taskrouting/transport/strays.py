"""What if what lies in a queue is no message of Kombu's at all? It is delivered as bytes.

A Redis list and a folder take anything, and people do put things there by hand. Kombu raises out
of its event loop over it, when it has taken it off the queue: it would be lost, and the worker
with it. Here it arrives, without headers, and whoever reads it finds that it is no event.
"""

from __future__ import annotations

from json import JSONDecodeError
from typing import Any
from uuid import uuid4

from kombu.utils.json import dumps

from .messages import Arrival

#: What Kombu raises over an envelope that lacks something, or has something else in its place.
BROKEN = (AttributeError, KeyError, TypeError, ValueError)


def tolerant(known: Any, queue: str) -> Any:
    """Return Kombu's message class ``known``, made to take whatever lies in ``queue``."""

    class Message(known):  # type: ignore[misc]  # known only here
        """A message of a virtual transport, or whatever was there in its place."""

        def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
            try:
                super().__init__(payload, channel=channel, **kwargs)
                self.delivery_info.setdefault("exchange", "")
                self.delivery_info.setdefault("routing_key", queue)
            except BROKEN:
                super().__init__(_enveloped(payload, queue), channel=channel, **kwargs)

    return Message


def arrival_of(error: JSONDecodeError, queue: str) -> Arrival:
    """Read what was not even JSON; Kombu has taken it off the queue, so there is no more to it.

    ``queue`` is where it was, or empty when that cannot be told.
    """
    return Arrival(
        queue=queue,
        body=error.doc.encode(errors="surrogateescape"),
        content_type=None,
        content_encoding=None,
        headers={},
        properties={},
        exchange="",
        routing_key=queue,
        redelivered=False,
    )


def _enveloped(payload: Any, queue: str) -> dict[str, Any]:
    """Put what was found into an envelope that Kombu can read."""
    return {
        "body": dumps(payload),
        "content-type": None,
        "content-encoding": "utf-8",
        "headers": {},
        "properties": {
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }
