"""What if what lies in a queue is no message of Kombu's at all? It is delivered as bytes.

A Redis list and a folder take anything, and people do put things there by hand. Kombu reads what
it has taken off a queue, and what it cannot read it raises out of its event loop: the bytes would
be lost, and the worker with them. So the bytes pass here first. What Kombu cannot read comes to it
in an envelope, goes the way of every message from there, and whoever opens it finds no event.
"""

from __future__ import annotations

import base64
import math
import shutil
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty
from typing import Any
from uuid import uuid4

from kombu.transport import virtual
from kombu.utils import json

from taskrouting import json_text

from .codecs import Packed

#: What reading raises over an envelope that lacks something, or has something else in its place.
BROKEN = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def tolerate(channel: Any, queue: str, transport: str) -> None:
    """Have ``channel`` deliver whatever lies in ``queue``, as the bytes it is.

    ``transport`` is the name among our capabilities.
    """
    if not isinstance(channel, virtual.Channel):
        channel.Message = type("Message", (channel.Message, Packed), {})
        # py-amqp would decode the body with the codec that its sender names, some of which need
        # time that grows with the square of the length.
        channel.auto_decode = False
        return
    strict = _strict(channel.Message, queue)
    channel.Message = _tolerant(strict, queue)
    _DOORS.get(transport, _at_any_get)(channel, partial(_readable, strict, channel, queue))


#: Turns what lies in the queue into what Kombu can read.
Readable = Callable[[bytes], bytes]


def _readable(strict: Any, channel: Any, queue: str, content: bytes) -> bytes:
    """Return ``content`` where it is a message of Kombu's, else an envelope around it."""
    try:
        strict(json.loads(content.decode()), channel=channel)
    except BROKEN:
        return str(json.dumps(_envelope(content, queue))).encode()
    return content


def _envelope(content: bytes, queue: str) -> dict[str, Any]:
    """Put bytes into an envelope that Kombu can read."""
    return {
        "body": base64.b64encode(content).decode(),
        "content-type": None,
        "content-encoding": None,
        "headers": {},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }


def _at_redis(channel: Any, readable: Readable) -> None:
    """Look at what a BRPOP has brought before Kombu does."""
    parse = channel.client.parse_response

    def parse_response(connection: Any, command: str, **options: Any) -> Any:
        reply = parse(connection, command, **options)
        if command == "BRPOP" and reply:
            place, content = reply
            return place, readable(content)
        return reply

    channel.client.parse_response = parse_response


def _at_folder(channel: Any, readable: Readable) -> None:
    """Take the files of a queue as Kombu does, without replacing what is not UTF-8 in them."""

    def get(queue: str, timeout: float | None = None) -> Any:
        for path in sorted(Path(channel.data_folder_in).iterdir()):
            if path.name.partition(".")[2] == f"{queue}.msg":
                content = _taken(path, channel)
                if content is not None:
                    return json.loads(readable(content))
        raise Empty

    channel._get = get


def _taken(path: Path, channel: Any) -> bytes | None:
    """Take a file out of the folder and return what is in it; ``None`` if it cannot be had."""
    try:
        content = path.read_bytes()
        if not content:  # whoever writes it has only begun
            return None
        if channel.store_processed:
            shutil.move(path, channel.processed_folder)
        else:
            path.unlink()
    except OSError:  # another process was faster, or it is not for us to read
        return None
    return content


def _at_sqs(channel: Any, readable: Readable) -> None:
    """Answer where SQS asks the channel to read; it adds what it needs to settle by itself."""

    def payload(text: str) -> Any:
        found = json.loads(readable(text.encode(errors="surrogatepass")))
        properties = found["properties"]
        properties["delivery_info"] = properties.get("delivery_info") or {}
        return found

    channel._prepare_json_payload = payload


def _at_any_get(channel: Any, readable: Readable) -> None:
    """On a transport we know nothing of, keep the text that it could not read."""
    known = channel._get

    def get(queue: str, **options: Any) -> Any:
        try:
            return known(queue, **options)
        except BROKEN as error:
            text = _unread(error)
            if text is None:
                raise
            return json.loads(readable(text.encode(errors="surrogatepass")))

    channel._get = get


_DOORS = {"redis": _at_redis, "filesystem": _at_folder, "sqs": _at_sqs}


def _unread(error: BaseException) -> str | None:
    """Return the text that Kombu could not read when ``error`` was raised; ``None`` if it could.

    Kombu has taken it off the queue, and nobody else holds it.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is json.loads.__code__:
            return str(frame.f_locals["s"])
    return None


def _strict(known: Any, queue: str) -> Any:
    """Return the message class ``known`` of a virtual transport, made to take nothing odd."""

    class Message(known, Packed):  # type: ignore[misc]  # known only here
        """A message of Kombu's, with everything that Kombu will look for later.

        Raises one of ``BROKEN`` where something is missing.
        """

        def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
            super().__init__(payload=_complete(payload, queue), channel=channel, **kwargs)
            if self.errors:
                raise ValueError("a body that is no text")
            # A copy that is handed back goes to the queue it came from, and to no other.
            info: dict[str, Any] = self.properties["delivery_info"]
            self.delivery_info = {**info, "exchange": "", "routing_key": queue}

        def serializable(self) -> dict[str, Any]:
            """Go back to the queue still packed, and still saying so."""
            return {**super().serializable(), "headers": dict(self.headers)}

    return Message


def _tolerant(strict: Any, queue: str) -> Any:
    """Return the class ``strict``, made to take whatever a transport has read."""

    class Message(strict):  # type: ignore[misc]  # known only here
        """A message, or whatever was there in its place."""

        def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
            try:
                super().__init__(payload, channel=channel, **kwargs)
            except BROKEN:
                self.errors = None
                stray = _envelope(_written(payload), queue)
                stray["properties"].update(_tag(payload))
                super().__init__(stray, channel=channel, **kwargs)

    return Message


def _complete(payload: Any, queue: str) -> dict[str, Any]:
    """Return an envelope that has every part; raise one of ``BROKEN`` if one is of a wrong kind."""
    properties, headers = payload["properties"], payload.get("headers") or {}
    info = {"exchange": "", "routing_key": queue, **(properties.get("delivery_info") or {})}
    texts = [payload.get("content-type"), payload.get("content-encoding"),
             info["exchange"], info["routing_key"]]  # fmt: skip
    if not all(isinstance(text, str | None) for text in texts):
        raise TypeError("an attribute that is no text")
    if not isinstance(payload.get("body"), str | bytes | None):
        raise TypeError("a body that is neither text nor bytes")
    properties["delivery_tag"].encode()  # a tag that is no text, or none that can be sent back
    if isinstance(priority := properties.get("priority"), float) and math.isinf(priority):
        raise ValueError("a priority without end")
    if json_text.is_deeper(payload):
        raise ValueError("nested deeper than anybody reads")
    return {**payload, "headers": headers, "properties": {**properties, "delivery_info": info}}


def _tag(payload: Any) -> dict[str, str]:
    """Return the tag by which a payload that was read can be settled, where it has one."""
    try:
        tag = payload["properties"]["delivery_tag"]
        return {"delivery_tag": tag.encode().decode()}
    except BROKEN:
        return {}


def _written(payload: Any) -> bytes:
    """Write again what was read; it may be nested just deeper than can be written here."""
    try:
        return str(json.dumps(payload)).encode()
    except RecursionError:
        return str(json.dumps(json_text.shallow(payload))).encode()
