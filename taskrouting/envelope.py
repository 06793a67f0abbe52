"""How does an event look on the wire?

CloudEvents 1.0: attributes (``id``, ``type``, ``source`` and so on) and data. We write the
structured form, one JSON document. We read that, the binary form (attributes in headers, data in
the body) and plain JSON, which is data alone. What the attributes mean is said in ``events``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from taskrouting import json_text
from taskrouting.exceptions import InvalidEnvelope, NotAccepted

#: The content type of every message we send.
CONTENT_TYPE = "application/cloudevents+json"

SPECVERSION = "1.0"

Attributes = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MILLISECOND = timedelta(milliseconds=1)

_NAME = re.compile(r"[a-z0-9]+")

#: Attributes without a field in our events, of which CloudEvents says that they are text.
_ALWAYS_TEXT = ("dataschema", "datacontenttype", "authtype")

#: CloudEvents' Integer has 32 bits.
_INTEGERS = range(-(2**31), 2**31)

#: What stands before an attribute's name: RabbitMQ's binding, then the two spellings of AMQP 1.0.
_HEADER = re.compile(r"(?:ce-|cloudevents_|cloudevents:)(.*)", re.IGNORECASE | re.DOTALL)

_JSON = re.compile(r"[^/\s]+/(?:[^/\s]+\+)?json")
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)

#: The encodings of JSON that are read; Python knows others, some of which are no text at all.
_CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "utf-16", "utf-32"}

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def write(attributes: Attributes, data: Any) -> bytes:
    """Write one structured CloudEvent. ``data`` is a JSON value, or bytes; None is left out.

    The attributes are known to be valid. Raises InvalidEventData, which says which part of
    ``data`` is no JSON value.
    """
    document = {"specversion": SPECVERSION, **attributes}
    if isinstance(data, bytes):
        document["data_base64"] = base64.b64encode(data).decode()
    elif data is not None:
        document["data"] = json_text.checked(data, "data")
    return json_text.compact(document).encode()


def is_structured(content_type: str | None) -> bool:
    """Tell whether the body itself says that it is a CloudEvent, in whatever format."""
    return media_type(content_type).startswith("application/cloudevents")


def read_structured(body: bytes, content_type: str) -> tuple[Attributes, Any]:
    """Read attributes and data from one structured CloudEvent in JSON.

    Raises NotAccepted for other formats and for batches, InvalidEnvelope for broken documents.
    """
    if media_type(content_type) not in ("application/cloudevents", CONTENT_TYPE):
        shown = json_text.shown(content_type)
        raise NotAccepted(f"The content type is {shown}; of CloudEvents we read {CONTENT_TYPE}.")
    document = _read_json(body, content_type, json_text.MAX_DEPTH + 1)  # the document around data
    if not isinstance(document, dict):
        raise InvalidEnvelope(f"The body is a {type(document).__name__}, not a CloudEvent object.")
    data = _take_data(document)
    return _set_attributes(document), data


def is_binary(headers: Mapping[str, Any]) -> bool:
    """Tell whether the headers say that they are the attributes of a CloudEvent."""
    return any(name == "specversion" for name, _ in _attribute_headers(headers))


def read_binary(
    body: bytes, content_type: str | None, headers: Mapping[str, Any]
) -> tuple[Attributes, Any]:
    """Read the attributes from headers and the data from the body.

    A JSON body becomes its value, any other body stays bytes, an empty one is no data at all.
    Raises InvalidEnvelope when either is broken.
    """
    attributes: Attributes = {}
    for name, header in _attribute_headers(headers):
        value = _header_value(name, header)
        if attributes.setdefault(name, value) != value:
            raise InvalidEnvelope(f"The attribute {name!r} has two values in the headers.")
    if content_type:  # of JSON, the charset has served its purpose
        attributes["datacontenttype"] = (
            media_type(content_type) if is_json(content_type) else content_type
        )
    return _set_attributes(attributes), _binary_data(body, content_type)


def read_plain(body: bytes, content_type: str | None) -> Any:
    """Read a body that is JSON and no CloudEvent.

    Raises NotAccepted when the content type is not JSON (or is missing and the body is not JSON
    either), InvalidEnvelope when it says JSON and the body is something else.
    """
    if is_json(content_type):
        return _read_json(body, content_type)
    if content_type:
        raise NotAccepted(f"The content type is {json_text.shown(content_type)}, and we read JSON.")
    try:
        return _read_json(body, None)
    except InvalidEnvelope as error:
        raise NotAccepted(f"The message has no content type and is not JSON. {error}") from error


def media_type(content_type: str | None) -> str:
    """Return the content type without its parameters, in lower case."""
    return (content_type or "").partition(";")[0].strip().lower()


def is_json(content_type: str | None) -> bool:
    """Tell whether a body of this content type is JSON text."""
    return _JSON.fullmatch(media_type(content_type)) is not None


def write_time(time: datetime) -> str:
    """Write an aware time as RFC 3339 in UTC, to the microsecond."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def read_time(text: object) -> datetime:
    """Read an RFC 3339 time as UTC; what is finer than a microsecond is dropped.

    Raises InvalidEnvelope naming the value.
    """
    if not isinstance(text, str) or not _RFC_3339.fullmatch(text.upper()):
        raise InvalidEnvelope(
            f"The attribute 'time' is {json_text.shown(text)}, not an RFC 3339 time."
        )
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidEnvelope(
            f"The attribute 'time' is {json_text.shown(text)}: {error}."
        ) from error


def read_timestamp(value: Any, unit: timedelta) -> datetime:
    """Read a broker's timestamp: a datetime (UTC if it has no zone), or so many units since 1970.

    Raises InvalidEnvelope when that is no time between the years 1 and 9999.
    """
    try:
        match value:
            case datetime():
                return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
            case int() | float():
                return _EPOCH + value * unit
    except (ValueError, OverflowError) as error:
        raise InvalidEnvelope(f"The timestamp {json_text.shown(value)} is out of range.") from error
    raise InvalidEnvelope(f"The timestamp {json_text.shown(value)} is no time.")


def time_fault(value: object) -> str:
    """Say why ``value`` cannot be sent as a time; empty if it can."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        return f"{json_text.shown(value)} is no aware datetime"
    try:
        value.astimezone(UTC)
    except OverflowError:
        return f"{value} is not between the years 1 and 9999 in UTC"
    return ""


def extension_fault(name: object, value: object) -> str:
    """Say why there can be no extension of this name and value; empty if there can."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "an attribute's name has lower-case letters a-z and digits only"
    if isinstance(value, str):
        return json_text.text_fault(value) if value else "empty; leave it out"
    if name in _ALWAYS_TEXT:
        return f"{json_text.shown(value)} is not text"
    if not isinstance(value, int):  # a bool is one too
        return f"{json_text.shown(value)} is neither text, an integer nor a boolean"
    return "" if value in _INTEGERS else "the integer has more than 32 bits; send it as text"


def known_value(value: Any) -> Any:
    """Turn an integer that is too large for CloudEvents into text, as its producer should have."""
    too_large = isinstance(value, int) and value not in _INTEGERS and value.bit_length() <= 64
    return str(value) if too_large else value


def _read_json(body: bytes, content_type: str | None, levels: int = json_text.MAX_DEPTH) -> Any:
    """Read a body in the charset that its content type names, or in UTF-8."""
    named = _CHARSET.search(content_type or "")
    charset = named[1].lower() if named else "utf-8"
    if charset not in _CHARSETS:
        raise InvalidEnvelope(f"The content type names the charset {charset!r}; send UTF-8.")
    try:
        text = body.decode(charset).removeprefix("\N{BYTE ORDER MARK}")
    except UnicodeDecodeError as error:
        reason = f"{error.reason} at byte {error.start}"
        raise InvalidEnvelope(f"The body is not {charset}: {reason}.") from error
    return json_text.loads(text, "body", levels)


def _take_data(document: Attributes) -> Any:
    """Take the data out of a structured document, in whichever of its two forms it is there."""
    data, encoded = document.pop("data", None), document.pop("data_base64", None)
    if encoded is None:
        return data
    if data is not None:
        raise InvalidEnvelope("The event has both 'data' and 'data_base64'.")
    if not isinstance(encoded, str):
        raise InvalidEnvelope(f"'data_base64' is a {type(encoded).__name__}, not text.")
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise InvalidEnvelope(f"'data_base64' is not base64: {error}.") from error


def _set_attributes(attributes: Attributes) -> Attributes:
    """Return the attributes that are set to something, once the version is known to be ours."""
    version = attributes.pop("specversion", None)
    if version != SPECVERSION:
        raise InvalidEnvelope(
            f"The attribute 'specversion' is {json_text.shown(version)}; we read {SPECVERSION!r}."
        )
    return {name: value for name, value in attributes.items() if value is not None and value != ""}


def _attribute_headers(headers: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the headers that are attributes, without their prefix."""
    for header, value in headers.items():
        named = _HEADER.fullmatch(header) if isinstance(header, str) else None
        if named:
            yield named[1].lower(), value


def _header_value(name: str, value: Any) -> Any:
    """Read a header, of whatever type the broker's tables know, as the value of an attribute."""
    if isinstance(value, bytes):
        return _header_text(name, value)
    if isinstance(value, datetime) or (name == "time" and isinstance(value, int)):
        return write_time(read_timestamp(value, _MILLISECOND))  # the unit of AMQP 1.0
    if not isinstance(value, str | int | None):
        raise InvalidEnvelope(
            f"The header of the attribute {name!r} is {json_text.shown(value)}, which is neither "
            "text, an integer nor a boolean."
        )
    return value


def _header_text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidEnvelope(f"The header of the attribute {name!r} is not UTF-8.") from error


def _binary_data(body: bytes, content_type: str | None) -> Any:
    if not body:
        return None
    if content_type:
        return _read_json(body, content_type) if is_json(content_type) else body
    try:
        return _read_json(body, None)
    except InvalidEnvelope:  # without a content type, bytes are as good as JSON
        return body
