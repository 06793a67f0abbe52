"""How is a message written down in a file? As in HTTP: lines, an empty one, and the body.

::

    :content_type: application/json          an attribute of the arrival
    ?message_id: m-1                         a property
    ce-id: 7                                 a header; JSON where it is that, else text

    {"title": "Bunny"}

Every file is some message, so that a fuzzer can change anything in it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from taskrouting.transport import messages
from taskrouting.transport.messages import Arrival


def arrival(written: bytes) -> Arrival:
    """Read a message that was written down."""
    head, _, body = written.partition(b"\n\n")
    attributes: dict[str, Any] = {"": {}, "?": {}, ":": {}}
    for line in head.decode("utf-8", "surrogateescape").split("\n"):
        kind = line[:1] if line[:1] in (":", "?") else ""
        name, _, value = line.removeprefix(kind).partition(": ")
        attributes[kind][name] = _read(value)
    return _arrival(body, attributes[""], attributes["?"], attributes[":"])


def _arrival(body: bytes, headers: Any, properties: Any, more: Any) -> Arrival:
    texts = {name: value for name, value in more.items() if isinstance(value, str)}
    exchange, routing_key, subscription, token = messages.address(
        headers, "events", texts.get("routing_key", "video.upload")
    )
    return Arrival(
        queue="video_queue",
        body=body,
        content_type=texts.get("content_type"),
        content_encoding=texts.get("content_encoding"),
        headers=headers,
        properties=properties,
        exchange=exchange,
        routing_key=routing_key,
        redelivered="redelivered" in more,
        subscription=subscription,
        token=token,
    )


def _read(value: str) -> Any:
    with suppress(ValueError, RecursionError):
        return json.loads(value)
    return value
