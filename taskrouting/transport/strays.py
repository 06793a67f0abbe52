"""What if what lies in a queue is no message of Kombu's at all? It is delivered as bytes.

A Redis list and a folder take anything, and people do put things there by hand. Kombu raises out
of its event loop over it, when it has taken it off the queue: it would be lost, and the worker
with it. Here it arrives, without headers, and whoever reads it finds that it is no event.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from kombu.transport import virtual
from kombu.utils import json

from taskrouting import json_text

from .codecs import Packed
from .messages import Arrival

#: What Kombu raises over an envelope that lacks something, or has something else in its place.
BROKEN = (AttributeError, KeyError, TypeError, ValueError)


def tolerate(channel: Any, queue: str) -> None:
    """Have ``channel`` deliver whatever lies in ``queue``, as the bytes it is."""
    if isinstance(channel, virtual.Channel):
        channel.Message = _tolerant(channel.Message, queue)
    else:
        channel.Message = type("Message", (channel.Message, Packed), {})
        # py-amqp would decode the body with the codec that its sender names, some of which need
        # time that grows with the square of the length.
        channel.auto_decode = False
    if hasattr(channel, "_prepare_json_payload"):  # SQS asks the channel to read, and has the rest
        channel._prepare_json_payload = _payload


def unread(error: BaseException) -> str | None:
    """Return the text that Kombu could not read when ``error`` was raised; ``None`` if it could.

    Kombu has taken it off the queue, and nobody else holds it.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is json.loads.__code__:
            return str(frame.f_locals["s"])
    return None


def arrival_of(text: str, queue: str) -> Arrival:
    """Make a message of ``text``, which was in ``queue``; nobody knows where if that is empty."""
    return Arrival(
        queue=queue,
        body=text.encode(errors="surrogateescape"),
        content_type=None,
        content_encoding=None,
        headers={},
        properties={},
        exchange="",
        routing_key=queue,
        redelivered=False,
    )


def _tolerant(known: Any, queue: str) -> Any:
    """Return the message class ``known`` of a virtual transport, made to take anything."""

    class Message(known, Packed):  # type: ignore[misc]  # known only here
        """A message, or whatever was there in its place."""

        def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
            try:
                _examine(payload)
                super().__init__(payload=payload, channel=channel, **kwargs)
                self.delivery_info.setdefault("exchange", "")
                self.delivery_info.setdefault("routing_key", queue)
            except BROKEN:
                super().__init__(payload=_enveloped(payload, queue), channel=channel, **kwargs)

        def serializable(self) -> dict[str, Any]:
            """Go back to the queue still packed, and still saying so."""
            return {**super().serializable(), "headers": dict(self.headers)}

    return Message


def _examine(payload: Any) -> None:
    """Raise one of ``BROKEN`` where Kombu would only stumble later, or we would."""
    properties = payload["properties"]
    info = properties.get("delivery_info") or {}
    texts = [payload.get("content-type"), payload.get("content-encoding"),
             info.get("exchange"), info.get("routing_key")]  # fmt: skip
    if not all(isinstance(text, str | None) for text in texts):
        raise TypeError("an attribute that is no text")
    properties["delivery_tag"].encode()  # a tag that is no text, or none that can be sent back
    if not isinstance(payload.get("body"), str | bytes | None):
        raise TypeError("a body that is neither text nor bytes")
    if json_text.is_deeper(payload):
        raise ValueError("nested deeper than anybody reads")


def _payload(text: str) -> Mapping[str, Any]:
    """Read what SQS holds; nothing where it is no message of Kombu's."""
    try:
        found = json.loads(text)
        _examine({**found, "properties": {"delivery_tag": "", **found["properties"]}})
    except Exception:  # noqa: BLE001  # whatever Kombu's reader stumbles over
        return {}
    return found  # type: ignore[no-any-return]  # a dict, or there would have been an error


def _enveloped(payload: Any, queue: str) -> dict[str, Any]:
    """Put what was found into an envelope that Kombu can read."""
    return {
        "body": _written(payload),
        "content-type": None,
        "content-encoding": "utf-8",
        "headers": {},
        "properties": _handle(payload, queue),
    }


def _handle(payload: Any, queue: str) -> dict[str, Any]:
    """Return the properties by which a payload can be settled: its own, where it has them."""
    try:
        _examine(payload)
    except BROKEN:
        tag: Any = str(uuid4())
        info: dict[str, Any] = {}
    else:
        tag = payload["properties"]["delivery_tag"]
        info = payload["properties"].get("delivery_info") or {}
    return {
        "delivery_tag": tag,
        "delivery_info": {**info, "exchange": "", "routing_key": queue},
    }


def _written(payload: Any) -> str:
    """Write again what was read; it may be nested just deeper than can be written here."""
    try:
        return str(json.dumps(payload))
    except RecursionError:
        return str(json.dumps(json_text.shallow(payload)))
