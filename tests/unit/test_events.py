"""Is an event written as a CloudEvent, and what cannot be written refused with its reason?"""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise

import pytest

from taskrouting import events
from taskrouting.events import Event
from taskrouting.exceptions import InvalidEventData

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def event(**changes) -> Event:
    """A valid event, but for the changes."""
    return Event(**{"id": "1", "type": "video.upload", "source": "shop", "time": NOON} | changes)


def written(event: Event) -> dict:
    """The JSON document that an event becomes."""
    return json.loads(events.encode(event))


def nested(levels: int) -> list:
    """A list in a list in a list ..."""
    value: list = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_an_event_is_written_as_a_cloudevent():
    """Every field has its place on the wire, under its official name where there is one."""
    full = event(
        subject="media.video/7",
        data={"title": "Größe"},
        correlation_id="c",
        causation_id="0",
        actor="auth.user/7",
        traceparent="00-1-2-01",
        extensions={"priority": 3, "test": True, "partitionkey": "p"},
    )

    assert written(full) == {
        "specversion": "1.0",
        "id": "1",
        "source": "shop",
        "type": "video.upload",
        "subject": "media.video/7",
        "time": "2026-11-20T12:00:00.000000Z",
        "datacontenttype": "application/json",
        "data": {"title": "Größe"},
        "correlationid": "c",
        "causationid": "0",
        "authtype": "app_user",
        "authid": "auth.user/7",
        "traceparent": "00-1-2-01",
        "priority": 3,
        "test": True,
        "partitionkey": "p",
    }


def test_what_an_event_does_not_have_is_not_written():
    """An attribute without a value is absent, not null."""
    assert written(event()).keys() == {"specversion", "id", "source", "type", "time"}


def test_json_is_compact_and_readable():
    """Letters stay letters, and no space is sent that nobody reads."""
    assert '"data":{"größe":[1,2]}' in events.encode(event(data={"größe": [1, 2]})).decode()


def test_bytes_travel_as_base64():
    """Data that is bytes is said to be bytes, and what kind of bytes if the publisher knows."""
    assert written(event(data=b"\x00\xff"))["data_base64"] == "AP8="
    assert written(event(data=b""))["datacontenttype"] == "application/octet-stream"
    assert "data" not in written(event(data=b"x"))

    poster = event(data=b"x", extensions={"datacontenttype": "image/jpeg"})
    assert written(poster)["datacontenttype"] == "image/jpeg"


def test_times_are_written_in_utc():
    """A time of another zone is the same moment on the wire."""
    there = timezone(timedelta(hours=-3))

    assert written(event(time=NOON.astimezone(there)))["time"] == "2026-11-20T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"user": {"tags": [1, 2, 3, float("nan")]}}, r"data.user.tags[3]: float nan"),
        (float("inf"), "data: float inf"),
        ([datetime(2026, 1, 1)], "data[0]: datetime datetime.datetime(2026"),
        ({"price": Decimal("9.90")}, "data.price: Decimal Decimal('9.90')"),
        ({"a b": {1, 2}}, "data['a b']: set {1, 2}"),
        ({"raw": b"x"}, "data.raw: bytes b'x'"),
        (bytearray(b"x"), "data: bytearray"),
        ({"user": {7: "x"}}, "data.user: the key 7 is int, not text"),
        ({"x": "a\x00b"}, "data.x: text with a NUL character at index 1"),
        (["\ud83d"], "data[0]: text with half a surrogate pair at index 0"),
        ({"a\x00": 1}, r"data: the key 'a\x00' is text with a NUL character"),
        ({"\udc00": 1}, r"data: the key '\udc00' is text with half a surrogate pair"),
        ({"n": 10**5000}, "data.n: an int with more digits"),
        ({10**5000: 1}, "data: the key <int object at"),
        (nested(101), "data" + "[0]" * 100 + ": nested too deeply"),
    ],
)
def test_data_that_json_or_a_database_refuses_is_refused_by_us(data, complaint):
    """The error says which value, where in the data, and what is wrong with it."""
    with pytest.raises(InvalidEventData, match=re.escape(complaint)):
        events.encode(event(data=data))


def test_data_that_contains_itself_is_refused():
    """A circle has no end that JSON could write."""
    data: dict = {}
    data["self"] = data

    with pytest.raises(InvalidEventData, match=r"data\.self\.self.*nested too deeply"):
        events.encode(event(data=data))


@pytest.mark.parametrize("name", ["id", "type", "source"])
@pytest.mark.parametrize("value", [None, "", 7, b"x", "x" * 256, "a\x00", "\udfff"])
def test_a_required_attribute_is_text_of_limited_length(name, value):
    """Without an id, a type and a source that can be kept, there is no event."""
    with pytest.raises(InvalidEventData, match=f"^{name}: "):
        events.encode(event(**{name: value}))


@pytest.mark.parametrize(
    "name", ["subject", "correlation_id", "causation_id", "actor", "traceparent"]
)
@pytest.mark.parametrize("value", ["", 7, b"x", "x" * 256, "a\x00", "\udfff"])
def test_an_optional_attribute_is_text_of_limited_length_too(name, value):
    """The columns of the audit log hold 255 characters, and nothing is cut off in silence."""
    with pytest.raises(InvalidEventData, match=f"^{name}: "):
        events.encode(event(**{name: value}))

    assert events.encode(event(**{name: "ä" * 255}))


@pytest.mark.parametrize(
    "time",
    [
        datetime(2026, 1, 1),
        "2026-01-01T00:00:00Z",
        None,
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))),
    ],
)
def test_a_time_is_an_aware_datetime(time):
    """A time that is no moment, or none that UTC can write, is refused."""
    with pytest.raises(InvalidEventData, match=r"^time: "):
        events.encode(event(time=time))


@pytest.mark.parametrize(
    ("extensions", "complaint"),
    [
        ({"event_id": "x"}, "lower-case letters"),
        ({"Priority": 1}, "lower-case letters"),
        ({"": 1}, "lower-case letters"),
        ({7: 1}, "lower-case letters"),
        ({"id": "x"}, "set the event's 'id'"),
        ({"correlationid": "x"}, "set the event's 'correlation_id'"),
        ({"authid": "x"}, "set the event's 'actor'"),
        ({"specversion": "1.0"}, "taken"),
        ({"data": "x"}, "set the event's 'data'"),
        ({"x": None}, "None is neither"),
        ({"x": 1.5}, "1.5 is neither"),
        ({"x": ["y"]}, "['y'] is neither"),
        ({"x": 2**31}, "32 bits"),
        ({"x": "a\x00"}, "NUL"),
        ({"x": "\ud800"}, "surrogate"),
        ({"x": ""}, "empty"),
        ({"dataschema": 7}, "7 is not text"),
        ({"datacontenttype": True}, "True is not text"),
    ],
)
def test_an_extension_has_a_plain_name_and_a_plain_value(extensions, complaint):
    """What CloudEvents does not allow in an attribute is refused by name."""
    with pytest.raises(InvalidEventData, match=rf"^extensions\[.*{re.escape(complaint)}"):
        events.encode(event(extensions=extensions))


def test_the_routing_key_is_the_type():
    """An event is published under the name of what happened."""
    assert event(type="user.login").routing_key == "user.login"


def test_an_event_is_a_value():
    """Events that say the same are equal, can stand in a set, and cannot be changed."""
    assert event(data=[1]) == event(data=[1]) != event(data=[2])
    assert len({event(data=[1]), event(data=[1]), event(id="2")}) == 2
    with pytest.raises(AttributeError):
        event().id = "2"


def test_an_idempotency_key_is_the_same_for_ever():
    """A key written down by an earlier release still stops a repetition."""
    key = event().idempotency_key("media.transcode")

    assert key == "e5aa59c6-9c6f-5d3b-8e69-d93b2545e233"


def test_an_idempotency_key_belongs_to_one_event_and_one_subscription():
    """However the parts are cut, no two deliveries share a key, and every key fits a header."""
    keys = {
        made.idempotency_key(subscription)
        for made in (event(), event(id="11"), event(source="shop1"), event(id='1", "x'))
        for subscription in ("a", "b", 'x", "a', "ä\n" * 300)
    }

    assert len(keys) == 16
    assert all(len(key) == 36 and key.isascii() and key.isprintable() for key in keys)


def test_new_ids_are_uuids_of_version_7():
    """An id holds the time it was made, as RFC 9562 lays it out."""
    made = uuid.UUID(events.new_id())
    age = datetime.now(UTC) - datetime.fromtimestamp((made.int >> 80) / 1000, UTC)

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert timedelta(0) <= age < timedelta(minutes=1)


def test_new_ids_sort_by_age_and_never_repeat():
    """Rows written in order of id lie beside each other in the index."""
    ids = [events.new_id() for _ in range(2000)]
    out_of_order = sum(later < earlier for earlier, later in pairwise(ids))

    assert len(set(ids)) == len(ids)
    assert out_of_order < len(ids) // 10  # two made within a quarter of a microsecond
