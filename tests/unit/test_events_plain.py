"""Does JSON from producers who know no CloudEvents become an event that can be traced?"""

from __future__ import annotations

import json
import re
import sys
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from taskrouting import events
from taskrouting.events import Event
from taskrouting.exceptions import InvalidEnvelope, NotAccepted
from tests.unit.messages import NOON, read


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


@pytest.mark.parametrize(
    "own", [7, None, "7", "0199c0de7a4a70008000000000000001", f"order-{uuid.NAMESPACE_DNS}"]
)
def test_any_other_id_in_the_body_is_data(own):
    """``7`` may be the id of anything, and what only looks like a UUID may too."""
    read_event = read(json.dumps({"id": own}).encode(), "application/json")

    assert read_event.extensions == {"idassigned": True}
    assert read_event.data == {"id": own}


def test_a_uuid_in_the_body_is_an_id():
    """A producer that numbers its facts by UUID has told us their ids."""
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
