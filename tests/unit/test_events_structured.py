"""Is a structured CloudEvent read as it was meant, and a broken one refused with its reason?"""

from __future__ import annotations

import json
import re
from datetime import UTC, timedelta

import pytest

from taskrouting.events import CONTENT_TYPE, Event
from taskrouting.exceptions import InvalidEnvelope, NotAccepted
from tests.unit.messages import ATTRIBUTES, HEADERS, NOON, read


def structured(content_type: str = CONTENT_TYPE, headers=None, **changes) -> Event:
    """Decode a structured CloudEvent with some attributes changed."""
    return read(json.dumps(ATTRIBUTES | changes).encode(), content_type, headers)


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
    read_event = structured(headers=HEADERS | {"ce-id": "other"})

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
