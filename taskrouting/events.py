"""What is an event, and how does it become bytes and come back?

An event is a fact in the past tense that never changes. On the wire it is a CloudEvent 1.0; its
fields are CloudEvents attributes under names that read well in Python:

    actor             authid (with authtype "app_user")
    correlation_id    correlationid
    causation_id      causationid

``extensions`` holds every other attribute, also ``dataschema``, and ``datacontenttype`` and
``authtype`` where they are not what we would write ourselves. So what was read is written again
unchanged, and whatever ``decode`` returns ``encode`` accepts.
"""

from __future__ import annotations

import json
import re
import secrets
import time as clock
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from taskrouting import envelope, json_text
from taskrouting.envelope import CONTENT_TYPE
from taskrouting.exceptions import InvalidEnvelope, InvalidEventData

__all__ = ["CONTENT_TYPE", "MAX_LENGTH", "Event", "decode", "encode", "from_plain", "new_id"]

#: The longest text attribute, in characters: the tables keep each in a column of this size.
MAX_LENGTH = 255

#: What ``actor`` is, as the auth extension of CloudEvents counts actors.
_ACTOR_TYPE = "app_user"

#: Attribute on the wire -> field of an event, for the attributes that are text of limited length.
_TEXTS = {
    "id": "id",
    "source": "source",
    "type": "type",
    "subject": "subject",
    "correlationid": "correlation_id",
    "causationid": "causation_id",
    "authid": "actor",
    "traceparent": "traceparent",
}
_REQUIRED = ("id", "source", "type")

#: Names that an extension cannot have, because something else goes there.
_RESERVED = {*_TEXTS, "specversion", "time", "data"}

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

#: The name space of idempotency keys. It must never change: keys have to outlive releases.
_IDEMPOTENCY = uuid.UUID("6f1c51a4-0f3e-4bd5-9d0b-5a1c7e0c2b6d")

#: The last second that a datetime can hold, counted from 1970.
_YEAR_9999 = 253_402_300_799


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact, who says so and what it was caused by."""

    #: Unique per source: two sources may use the same id for different facts.
    id: str

    #: What happened, as dotted words: ``video.upload``.
    type: str

    #: Who says so: a name or a URI of the producing system.
    source: str

    #: When it happened; aware, UTC.
    time: datetime

    #: What it happened to, within the source: ``media.video/7``.
    subject: str | None = None

    #: The details: a JSON value, or bytes.
    data: Any = field(default=None, hash=False)

    #: Shared by all events that follow from one beginning.
    correlation_id: str | None = None

    #: The id of the event whose handler published this one.
    causation_id: str | None = None

    #: Who acted: ``auth.user/7``.
    actor: str | None = None

    #: The W3C trace in which it was published.
    traceparent: str | None = None

    #: Every other CloudEvents attribute, by its name on the wire.
    extensions: Mapping[str, str | int | bool] = field(default_factory=dict, hash=False)

    @property
    def routing_key(self) -> str:
        """The routing key that the event is published under: its type."""
        return self.type

    def idempotency_key(self, subscription: str) -> str:
        """Return the key under which a handler may safely repeat a request to another service.

        The same in every attempt and after every redelivery, different for every other event and
        subscription: 36 characters, fit for an ``Idempotency-Key`` header.
        """
        return str(uuid.uuid5(_IDEMPOTENCY, json.dumps([self.source, self.id, subscription])))


def new_id() -> str:
    """Return a new UUIDv7 (RFC 9562): unique, and sortable by the time it was made.

    The 12 bits after the milliseconds hold the fraction of the millisecond, so ids made by one
    process sort in the order they were made to a quarter of a microsecond.
    """
    milliseconds, nanoseconds = divmod(clock.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    value = milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def encode(event: Event) -> bytes:
    """Write ``event`` as a structured CloudEvent in JSON.

    Raises InvalidEventData, which says which value is at fault, where and why; nothing about the
    event can be repaired by trying again.
    """
    if reason := _fault(event):
        raise InvalidEventData(f"{reason}.")
    return envelope.write(_attributes(event), event.data)


def decode(
    body: bytes,
    *,
    content_type: str | None,
    headers: Mapping[str, Any],
    properties: Mapping[str, Any],
    routing_key: str,
    exchange: str,
) -> Event:
    """Read a message as an event: a structured or binary CloudEvent, or plain JSON.

    A structured CloudEvent is what its body says, whatever the headers say. Raises NotAccepted
    when the message is neither a CloudEvent nor JSON, InvalidEnvelope when it is a broken one;
    both say what is wrong, and waiting helps neither.
    """
    if content_type and envelope.is_structured(content_type):
        return _from_attributes(*envelope.read_structured(body, content_type), properties)
    if envelope.is_binary(headers):
        return _from_attributes(*envelope.read_binary(body, content_type, headers), properties)
    data = envelope.read_plain(body, content_type)
    return _from_outside(data, properties, routing_key, exchange)


def from_plain(
    value: Any, *, properties: Mapping[str, Any], routing_key: str, exchange: str
) -> Event:
    """Make an event of a plain JSON value that a producer who knows no CloudEvents sent.

    The message's AMQP properties give what they can. Without a ``message_id``, and without a UUID
    as ``id`` in the value, the event gets a new id and the extension ``idassigned``: if it is
    delivered again, nobody can tell. Raises InvalidEnvelope when the value is not JSON, or a
    property is no attribute.
    """
    if reason := json_text.fault(value, "body"):
        raise InvalidEnvelope(f"{reason}.")
    return _from_outside(value, properties, routing_key, exchange)


def _attributes(event: Event) -> envelope.Attributes:
    """Say a valid event in CloudEvents attributes; its own extensions win over our defaults."""
    texts = {name: getattr(event, ours) for name, ours in _TEXTS.items()}
    attributes = {name: text for name, text in texts.items() if text is not None}
    attributes["time"] = envelope.write_time(event.time)
    if event.actor is not None:
        attributes["authtype"] = _ACTOR_TYPE
    if event.data is not None:
        attributes["datacontenttype"] = _usual_content_type(event.data)
    return attributes | dict(event.extensions)


def _from_attributes(
    attributes: envelope.Attributes, data: Any, properties: Mapping[str, Any]
) -> Event:
    """Make an event of CloudEvents attributes, which it takes apart."""
    time = attributes.pop("time", None)
    texts = {ours: attributes.pop(name, None) for name, ours in _TEXTS.items()}
    usual = {"datacontenttype": _usual_content_type(data)}
    if texts["actor"] is not None:
        usual["authtype"] = _ACTOR_TYPE
    extensions = {
        name: envelope.known_value(value)
        for name, value in attributes.items()
        if value != usual.get(name)
    }
    return _checked(
        Event(
            time=_sent_at(properties) if time is None else envelope.read_time(time),
            data=data,
            extensions=extensions,
            **texts,
        )
    )


def _from_outside(
    data: Any, properties: Mapping[str, Any], routing_key: str, exchange: str
) -> Event:
    """Make an event of plain data and what the AMQP properties say about it."""
    known_id = _property(properties, "message_id") or _own_id(data)
    return _checked(
        Event(
            id=known_id or new_id(),
            type=routing_key,
            source=_property(properties, "app_id") or f"amqp:{exchange}",
            time=_sent_at(properties),
            data=data,
            correlation_id=_property(properties, "correlation_id"),
            extensions={} if known_id else {"idassigned": True},
        )
    )


def _own_id(data: Any) -> str | None:
    """Return the ``id`` that plain data carries, if it is a UUID and so hardly another thing's."""
    own = data.get("id") if isinstance(data, dict) else None
    return own if isinstance(own, str) and _UUID.fullmatch(own) else None


def _property(properties: Mapping[str, Any], name: str) -> str | None:
    """Return an AMQP property that is text; None if it is unset or empty."""
    value = properties.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidEnvelope(f"The property {name!r} is {json_text.shown(value)}, not text.")
    return value or None


def _sent_at(properties: Mapping[str, Any]) -> datetime:
    """Return the time that the AMQP property ``timestamp`` gives, or now.

    It counts seconds; past the year 9999 it must be milliseconds, as JavaScript counts.
    """
    sent = properties.get("timestamp")
    if sent is None:
        return datetime.now(UTC)
    in_seconds = not isinstance(sent, int) or sent <= _YEAR_9999
    return envelope.read_timestamp(sent, timedelta(seconds=1 if in_seconds else 0.001))


def _usual_content_type(data: Any) -> str:
    """Return what the content type of ``data`` is unless somebody says otherwise."""
    return "application/octet-stream" if isinstance(data, bytes) else "application/json"


def _checked(event: Event) -> Event:
    """Return an event that was read, or refuse it for the reasons that ``encode`` has too."""
    if reason := _fault(event):
        raise InvalidEnvelope(f"A broken attribute, {reason}.")
    return event


def _fault(event: Event) -> str:
    """Say which attribute cannot be sent or kept, and why; empty if all can."""
    for ours in _TEXTS.values():
        if reason := _text_fault(getattr(event, ours), required=ours in _REQUIRED):
            return f"{ours}: {reason}"
    if reason := envelope.time_fault(event.time):
        return f"time: {reason}"
    for name, value in event.extensions.items():
        if reason := _extension_fault(name, value):
            return f"extensions[{json_text.shown(name)}]: {reason}"
    return ""


def _text_fault(value: object, *, required: bool) -> str:
    if value is None:
        return "missing" if required else ""
    if not isinstance(value, str):
        return f"{json_text.shown(value)} is not text"
    if not value:
        return "empty"
    if len(value) > MAX_LENGTH:
        return f"{len(value)} characters long; no more than {MAX_LENGTH} are kept"
    return json_text.text_fault(value)


def _extension_fault(name: object, value: object) -> str:
    if name in _RESERVED:
        return f"the name is taken; set the event's {_TEXTS.get(str(name), name)!r} instead"
    return envelope.extension_fault(name, value)
