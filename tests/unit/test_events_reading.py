"""Is every form of an event read as it was meant, and everything else refused with its reason?"""

from __future__ import annotations

import json
import re
import sys
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest

from taskrouting import events
from taskrouting.events import CONTENT_TYPE, Event
from taskrouting.exceptions import InvalidEnvelope, NotAccepted

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DOCUMENT = {"specversion": "1.0", "id": "1", "source": "shop", "type": "a.b"}
BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "shop", "ce-type": "a.b"}


def read(body: bytes, content_type: str | None = None, headers=None, **properties) -> Event:
    """Decode a message that was sent to ``crm`` with the routing key ``video.upload``."""
    return events.decode(
        body,
        content_type=content_type,
        headers=headers or {},
        properties=properties,
        routing_key="video.upload",
        exchange="crm",
    )


def structured(content_type: str = CONTENT_TYPE, headers=None, **changes) -> Event:
    """Decode a structured CloudEvent with some attributes changed."""
    return read(json.dumps(DOCUMENT | changes).encode(), content_type, headers)


def binary(body: bytes = b"", content_type: str | None = None, **changes) -> Event:
    """Decode a binary CloudEvent with some headers changed."""
    changes = {f"ce-{name}": value for name, value in changes.items()}
    return read(body, content_type, BINARY | changes)


# --- structured ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+json",
        "Application/CloudEvents+JSON; charset=UTF-8",
        "application/cloudevents",
    ],
)
def test_a_structured_event_is_known_by_its_content_type(content_type):
    """Case and parameters of the content type do not matter."""
    assert structured(content_type, data=[1]).data == [1]


def test_the_body_of_a_structured_event_wins_over_its_headers():
    """Headers and properties are labels for brokers; the envelope is the truth."""
    read_event = structured(headers=BINARY | {"ce-id": "other"})

    assert (read_event.id, read_event.type) == ("1", "a.b")


def test_attributes_without_a_field_are_extensions():
    """Nothing that a producer said about its event is forgotten."""
    read_event = structured(
        dataschema="urn:x", datacontenttype="text/plain", data="hi", sequence=7, test=False
    )

    assert read_event.extensions == {
        "dataschema": "urn:x",
        "datacontenttype": "text/plain",
        "sequence": 7,
        "test": False,
    }


@pytest.mark.parametrize(
    ("auth", "actor", "extensions"),
    [
        ({"authtype": "app_user", "authid": "u/7"}, "u/7", {}),
        ({"authtype": "system", "authid": "cron"}, "cron", {"authtype": "system"}),
        ({"authtype": "app_user"}, None, {"authtype": "app_user"}),
        ({"authtype": "unauthenticated"}, None, {"authtype": "unauthenticated"}),
    ],
)
def test_the_actor_is_the_authid(auth, actor, extensions):
    """Who acted is the actor, and what kind of actor is kept where it is not a user of ours."""
    read_event = structured(**auth)

    assert (read_event.actor, read_event.extensions) == (actor, extensions)


@pytest.mark.parametrize("unset", [None, ""])
@pytest.mark.parametrize("name", ["subject", "time", "dataschema", "foo", "authid", "data_base64"])
def test_null_and_empty_mean_unset(name, unset):
    """Many producers write what they do not have as null or as an empty text."""
    if (name, unset) == ("data_base64", ""):
        assert structured(data_base64="").data == b""
        return
    read_event = structured(**{name: unset})

    assert (read_event.subject, read_event.actor, read_event.extensions) == (None, None, {})


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        ("2026-11-20T12:00:00Z", NOON),
        ("2026-11-20t12:00:00z", NOON),
        ("2026-11-20T14:30:00+02:30", NOON),
        ("2026-11-20T12:00:00.5Z", NOON + timedelta(seconds=0.5)),
        ("2026-11-20T12:00:00.123456789Z", NOON + timedelta(microseconds=123456)),
    ],
)
def test_times_are_read_as_rfc_3339(time, moment):
    """Any zone and any precision; what is finer than a microsecond is dropped."""
    assert structured(time=time).time == moment
    assert structured(time=time).time.tzinfo is UTC


def test_a_too_large_integer_becomes_text():
    """CloudEvents' integers have 32 bits; a producer who sends more meant a text."""
    assert structured(millis=1_732_147_200_000).extensions == {"millis": "1732147200000"}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"specversion": "0.3"}, "'specversion' is '0.3'"),
        ({"specversion": None}, "'specversion' is None"),
        ({"specversion": 1.0}, "'specversion' is 1.0"),
        ({"id": None}, "id: missing"),
        ({"id": ""}, "id: missing"),
        ({"id": 7}, "id: 7 is not text"),
        ({"source": "x" * 256}, "source: 256 characters long"),
        ({"type": ["a"]}, "type: ['a'] is not text"),
        ({"subject": 0}, "subject: 0 is not text"),
        ({"subject": False}, "subject: False is not text"),
        ({"authid": {}}, "actor: {} is not text"),
        ({"time": "yesterday"}, "'time' is 'yesterday'"),
        ({"time": "2026-11-20"}, "'time' is '2026-11-20'"),
        ({"time": "2026-11-20T12:00:00"}, "not an RFC 3339 time"),
        ({"time": "2026-13-20T12:00:00Z"}, "'time' is '2026-13-20T12:00:00Z': month"),
        ({"time": "0001-01-01T00:00:00+10:00"}, "'time' is"),
        ({"time": 1732147200}, "'time' is 1732147200"),
        ({"data_base64": "!!"}, "'data_base64' is not base64"),
        ({"data_base64": "ä"}, "'data_base64' is not base64"),
        ({"data_base64": 7}, "'data_base64' is a int"),
        ({"data": 1, "data_base64": "AA=="}, "both 'data' and 'data_base64'"),
        ({"data": {"x": "a\x00"}}, "body.data.x: text with a NUL character"),
        ({"data": ["\ud800"]}, "body.data[0]: text with half a surrogate pair"),
        ({"subject": "\udc00"}, "body.subject: text with half a surrogate pair"),
        ({"a\x00": 1}, r"body: the key 'a\x00'"),
        ({"foo": 1.5}, "extensions['foo']: 1.5 is neither"),
        ({"foo": {"x": 1}}, "extensions['foo']: {'x': 1} is neither"),
        ({"foo_bar": "x"}, "extensions['foo_bar']: an attribute's name"),
        ({"dataschema": 7}, "extensions['dataschema']: 7 is not text"),
        ({"datacontenttype": 7}, "extensions['datacontenttype']: 7 is not text"),
    ],
)
def test_a_broken_attribute_is_named(changes, complaint):
    """The reason in the dead letter says which attribute is wrong, and how."""
    with pytest.raises(InvalidEnvelope, match=re.escape(complaint)):
        structured(**changes)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "body is not JSON: Expecting value"),
        (b"{", "body is not JSON"),
        (b'{"a": 1} x', "body is not JSON: Extra data"),
        (b"\xff{}", "not utf-8: invalid start byte at byte 0"),
        (b'{"a": {"b": 1, "b": 2}}', "the key 'b' stands twice"),
        (b'{"id": NaN}', "NaN is no JSON number"),
        (b'{"id": -Infinity}', "-Infinity is no JSON number"),
        (b'{"id": 1e999}', "the number '1e999' is too large"),
        (b'{"id": "a\x00b"}', "Invalid control character"),
        (b"[" * 100_000, "nested deeper than"),
        (b"[" * 250 + b"]" * 250, "nested too deeply"),
        (b"1" * 5000, "Exceeds the limit"),
        (b"[1]", "The body is a list"),
        (b"null", "The body is a NoneType"),
    ],
)
def test_a_broken_document_says_what_is_broken(body, complaint):
    """Bytes that are no event are told from one another by their reason."""
    with pytest.raises(InvalidEnvelope, match=re.escape(complaint)):
        read(body, CONTENT_TYPE)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents-batch+json",
        "application/cloudevents+avro",
        "application/cloudeventsx",
    ],
)
def test_other_formats_of_cloudevents_are_not_accepted(content_type):
    """A batch, or a format that is not JSON, is no broken event but one that we do not read."""
    with pytest.raises(NotAccepted, match=re.escape(content_type)):
        structured(content_type)


# --- binary -------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["ce-", "CE-", "cloudEvents_", "cloudEvents:"])
def test_a_binary_event_is_read_from_its_headers(prefix):
    """All three bindings that reach an AMQP queue spell the prefix their own way."""
    headers = {
        f"{prefix}{name}": value
        for name, value in (DOCUMENT | {"subject": "s", "authid": "u/7", "foo": "bar"}).items()
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
        ({"foo": [1]}, "extensions['foo']: [1] is neither"),
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


# --- plain JSON ---------------------------------------------------------------------------------


def test_plain_json_takes_what_the_properties_say():
    """A producer that knows no CloudEvents still tells us a lot."""
    read_event = read(
        b'{"id": 7}',
        "application/json",
        message_id="m",
        app_id="crm",
        correlation_id="c",
        timestamp=int(NOON.timestamp()),
    )

    assert read_event == Event(
        id="m", type="video.upload", source="crm", time=NOON, data={"id": 7}, correlation_id="c"
    )


@pytest.mark.parametrize("empty", [{}, {"message_id": "", "app_id": "", "correlation_id": ""}])
def test_plain_json_without_properties_gets_an_id_and_says_so(empty):
    """An assigned id is marked: nobody can tell when that event is delivered again."""
    read_event = read(b'{"id": "7"}', "application/json", **empty)

    assert uuid.UUID(read_event.id).version == 7
    assert read_event.extensions == {"idassigned": True}
    assert read_event.source == "amqp:crm"
    assert read_event.correlation_id is None
    assert datetime.now(UTC) - read_event.time < timedelta(minutes=1)


def test_a_uuid_in_the_body_is_an_id():
    """A body's own id counts if it is a UUID; ``7`` may be the id of anything."""
    own = "0199C0DE-7a4a-7000-8000-000000000001"

    read_event = read(json.dumps({"id": own}).encode(), "application/json")

    assert (read_event.id, read_event.extensions) == (own, {})


@pytest.mark.parametrize(
    ("timestamp", "moment"),
    [
        (NOON, NOON),
        (NOON.replace(tzinfo=None), NOON),
        (NOON.timestamp(), NOON),
        (int(NOON.timestamp() * 1000), NOON),
    ],
)
def test_a_timestamp_is_seconds_unless_that_is_impossible(timestamp, moment):
    """``Date.now()`` of JavaScript counts milliseconds, and is told by its size."""
    assert read(b"1", "application/json", timestamp=timestamp).time == moment


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('"ä"'.encode(), "application/json"),
        ('"ä"'.encode(), 'Application/JSON; Charset="UTF-8"'),
        ('"ä"'.encode(), "application/vnd.shop.order+json"),
        ('"ä"'.encode(), "text/json"),
        ('"ä"'.encode(), None),
        ('"ä"'.encode(), ""),
        ('"ä"'.encode("latin-1"), "application/json; charset=iso-8859-1"),
        ('"ä"'.encode("utf-8-sig"), "application/json"),
        ('"ä"'.encode("utf-16"), "application/json;charset=utf-16"),
    ],
)
def test_plain_json_has_many_names(body, content_type):
    """Any content type that is JSON, any charset that it names, or none at all."""
    assert read(body, content_type).data == "ä"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<x/>", "application/xml"),
        (b"{}", "application/x-python-serialize"),
        (b"{}", "application/jsonx"),
        (b"<x/>", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_what_is_neither_cloudevent_nor_json_is_not_accepted(body, content_type):
    """We do not guess what a stranger's bytes may mean."""
    with pytest.raises(NotAccepted, match=r"content type"):
        read(body, content_type)


@pytest.mark.parametrize(
    ("body", "content_type", "properties", "complaint"),
    [
        (b"{", "application/json", {}, "body is not JSON"),
        (b'["\\u0000"]', "application/json", {}, "body[0]: text with a NUL"),
        (b'"\\ud800"', "application/json", {}, "body: text with half a surrogate"),
        (b"[" * 101 + b"]" * 101, "application/json", {}, "nested too deeply"),
        (b"1", "application/json; charset=klingon", {}, "charset 'klingon'"),
        (b"1", "application/json; charset=zlib", {}, "charset 'zlib'"),
        (b"1", "application/json", {"message_id": "x" * 256}, "id: 256 characters"),
        (b"1", "application/json", {"message_id": 7}, "'message_id' is 7"),
        (b"1", "application/json", {"app_id": "\x00"}, "source: text with a NUL"),
        (b"1", "application/json", {"correlation_id": b"c"}, "'correlation_id' is b'c'"),
        (b"1", "application/json", {"timestamp": "noon"}, "'noon' is no time"),
        (b"1", "application/json", {"timestamp": 10**30}, "out of range"),
        (b"1", "application/json", {"timestamp": float("nan")}, "out of range"),
    ],
)
def test_broken_plain_json_says_what_is_broken(body, content_type, properties, complaint):
    """Strangers' mistakes are dead letters with a reason, like everybody's."""
    with pytest.raises(InvalidEnvelope, match=re.escape(complaint)):
        read(body, content_type, **properties)


@pytest.mark.parametrize(("routing_key", "fault"), [("", "empty"), ("ä" * 256, "256 characters")])
def test_a_plain_event_needs_a_routing_key(routing_key, fault):
    """Without a routing key nobody says what happened."""
    with pytest.raises(InvalidEnvelope, match=f"type: {fault}"):
        events.from_plain(1, properties={}, routing_key=routing_key, exchange="crm")


def test_a_value_that_was_decoded_elsewhere_is_checked_too():
    """A value that some other decoder made has to be JSON like any other."""
    made = events.from_plain([1], properties={"app_id": "x"}, routing_key="a", exchange="")

    assert (made.data, made.source) == ([1], "x")
    with pytest.raises(InvalidEnvelope, match=r"body\[0\]: bytes"):
        events.from_plain([b"x"], properties={}, routing_key="a", exchange="crm")


def test_depth_is_judged_alike_wherever_the_stack_stands():
    """The same bytes are not an event here and a dead letter deep inside a handler."""
    body = b"[" * 100 + b"]" * 100

    def from_deeper(levels: int) -> Event:
        return from_deeper(levels - 1) if levels else read(body, "application/json")

    assert from_deeper(sys.getrecursionlimit() // 2).data == from_deeper(0).data
