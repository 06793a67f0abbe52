"""Is a CloudEvent whose attributes are headers read as it was meant?"""

from __future__ import annotations

import re
from datetime import timedelta, timezone

import pytest

from taskrouting.events import Event
from taskrouting.exceptions import InvalidEnvelope
from tests.unit.messages import ATTRIBUTES, HEADERS, NOON, read


def binary(body: bytes = b"", content_type: str | None = None, **changes) -> Event:
    """Decode a binary CloudEvent with some headers changed."""
    changes = {f"ce-{name}": value for name, value in changes.items()}
    return read(body, content_type, HEADERS | changes)


@pytest.mark.parametrize("prefix", ["ce-", "CE-", "cloudEvents_", "cloudEvents:"])
def test_a_binary_event_is_read_from_its_headers(prefix):
    """All three bindings that reach an AMQP queue spell the prefix their own way."""
    headers = {
        f"{prefix}{name}": value
        for name, value in (ATTRIBUTES | {"subject": "s", "authid": "u/7", "foo": "bar"}).items()
    }

    read_event = read(b'{"x": 1}', "application/json; charset=utf-8", headers | {"other": object()})

    assert (read_event.id, read_event.source, read_event.type) == ("1", "shop", "a.b")
    assert (read_event.subject, read_event.actor) == ("s", "u/7")
    assert read_event.extensions == {"foo": "bar"}
    assert read_event.data == {"x": 1}


@pytest.mark.parametrize(
    ("body", "content_type", "data", "extensions"),
    [
        (b"[1]", "application/json", [1], {}),
        (b"[1]", None, [1], {}),
        (b"[1", None, b"[1", {}),
        (b"[1]", "application/vnd.x+json", [1], {"datacontenttype": "application/vnd.x+json"}),
        (b"[1]", "application/octet-stream", b"[1]", {}),
        (b"hi", "text/plain; charset=x", b"hi", {"datacontenttype": "text/plain; charset=x"}),
        (b"", "application/json", None, {}),
        (b"", None, None, {}),
    ],
)
def test_the_data_of_a_binary_event_goes_by_the_content_type(body, content_type, data, extensions):
    """JSON becomes its value, everything else stays the bytes it is."""
    read_event = binary(body, content_type)

    assert read_event.data == data
    assert read_event.extensions == extensions


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-20T12:00:00Z",
        b"2026-11-20T12:00:00Z",
        NOON,
        NOON.replace(tzinfo=None),
        NOON.astimezone(timezone(timedelta(hours=5))),
        int(NOON.timestamp() * 1000),
    ],
)
def test_a_time_in_a_header_has_many_types(time):
    """Text, bytes, AMQP's own timestamps with and without a zone, and AMQP 1.0's milliseconds."""
    assert binary(time=time).time == NOON


def test_header_values_keep_their_type():
    """Integers and booleans are what they are, bytes are text."""
    read_event = binary(a=1, b=True, c=b"\xc3\xa4", d="x", e=None, f=NOON)

    assert read_event.extensions == {
        "a": 1,
        "b": True,
        "c": "ä",
        "d": "x",
        "f": "2026-11-20T12:00:00.000000Z",
    }


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"id": b"\xff"}, "'id' is not UTF-8"),
        ({"id": 7}, "id: 7 is not text"),
        ({"specversion": "2.0"}, "'specversion' is '2.0'"),
        ({"source": None}, "source: missing"),
        ({"time": 10**20}, "out of range"),
        ({"time": 10**5000}, "out of range"),
        ({"id": 10**5000}, "id: <int object"),
        ({"foo": 10**5000}, "32 bits"),
        ({"time": 1.5}, "'time' is 1.5"),
        ({"time": "noon"}, "'time' is 'noon'"),
        ({"subject": "a\x00"}, "subject: text with a NUL"),
        ({"foo": [1]}, "'foo' is [1], which is neither"),
        ({"foo_bar": "x"}, "extensions['foo_bar']"),
        ({"data": "x"}, "extensions['data']: the name is taken"),
        ({"ID": "2"}, "'id' has two values"),
    ],
)
def test_a_broken_header_is_named(changes, complaint):
    """The reason in the dead letter says which header is wrong, and how."""
    with pytest.raises(InvalidEnvelope, match=re.escape(complaint)):
        binary(**changes)


def test_json_that_is_not_json_is_refused():
    """A binary event that says JSON must hold JSON."""
    with pytest.raises(InvalidEnvelope, match="body is not JSON"):
        binary(b"{", "application/json")
