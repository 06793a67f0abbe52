"""Does every event come back as it was sent, here and in the official CloudEvents SDK?"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.bindings import amqp, rabbitmq
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from taskrouting import events, json_text
from taskrouting.events import CONTENT_TYPE, Event
from taskrouting.exceptions import InvalidEnvelope, NotAccepted
from tests.unit import messages

MESSAGE: dict[str, Any] = {
    "headers": {},
    "properties": {},
    "routing_key": "video.upload",
    "exchange": "crm",
}

#: Every character but NUL and halves of surrogate pairs.
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
texts = st.text(characters, min_size=1, max_size=255)
times = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)).map(
    lambda naive: naive.replace(tzinfo=UTC)
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(characters),
    lambda values: (
        st.lists(values, max_size=4) | st.dictionaries(st.text(characters), values, max_size=4)
    ),
    max_leaves=12,
)
extension_names = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20).filter(
    lambda name: name not in events._RESERVED | {"authtype", "datacontenttype", "dataschema"}
)
extension_values = st.booleans() | st.integers(-(2**31), 2**31 - 1) | texts
extensions = st.dictionaries(extension_names, extension_values, max_size=4)
made_events = st.builds(
    Event,
    id=texts,
    type=texts,
    source=texts,
    time=times,
    subject=st.none() | texts,
    data=json_values | st.binary(),
    correlation_id=st.none() | texts,
    causation_id=st.none() | texts,
    actor=st.none() | texts,
    traceparent=st.none() | texts,
    extensions=extensions,
)

#: Whatever a broker's tables could hold, and more.
header_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]))
    | st.binary()
    | st.datetimes()
    | st.datetimes(timezones=st.just(timezone(timedelta(hours=14)))),
    lambda values: st.lists(values, max_size=2) | st.dictionaries(st.text(), values, max_size=2),
    max_leaves=3,
)
header_names = st.builds(
    str.__add__,
    st.sampled_from(["ce-", "cloudEvents_", "cloudEvents:", ""]),
    st.sampled_from(["specversion", "id", "type", "source", "time", "subject", "authid", "data"])
    | st.text(st.characters(exclude_categories=[])),
)
all_headers = st.builds(
    dict.__or__,
    st.sampled_from([{}, messages.HEADERS]),
    st.dictionaries(header_names, header_values, max_size=4),
)
properties = st.dictionaries(
    st.sampled_from(["message_id", "app_id", "timestamp", "correlation_id"]), header_values
)
content_types = (
    st.none()
    | st.text()
    | st.sampled_from(
        [
            CONTENT_TYPE,
            "application/cloudevents",
            "application/json",
            "a/b+json; charset=latin-1",
            "x/y",
        ]
    )
)
documents = st.fixed_dictionaries(
    {"specversion": st.just("1.0"), "id": texts | json_values, "type": texts, "source": texts},
    optional={
        name: json_values
        for name in ("time", "subject", "data", "data_base64", "authid", "authtype", "x", "Y")
    },
)
bodies = st.binary() | (documents | json_values).map(lambda value: json.dumps(value).encode())


def decode(body: bytes, content_type: str | None, **changes: Any) -> Event:
    """Decode a message, with nothing but a body unless said otherwise."""
    return events.decode(body, content_type=content_type, **MESSAGE | changes)


def attributes_in_sdk(event: CloudEvent) -> dict[str, Any]:
    """All attributes as the SDK sees them, without those that follow from the rest."""
    derived = ("specversion", "datacontenttype", "authtype")
    return {k: v for k, v in event.get_attributes().items() if k not in derived}


def attributes_here(event: Event) -> dict[str, Any]:
    """The same attributes, under their names on the wire."""
    named = {
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "time": event.time,
        "subject": event.subject,
        "correlationid": event.correlation_id,
        "causationid": event.causation_id,
        "authid": event.actor,
        "traceparent": event.traceparent,
    }
    return {k: v for k, v in named.items() if v is not None} | dict(event.extensions)


def in_sdk(event: Event, data: Any) -> CloudEvent:
    """The same event, made by the SDK."""
    content_type = "application/octet-stream" if isinstance(data, bytes) else "application/json"
    fixed = {"specversion": "1.0", "datacontenttype": content_type}
    return CloudEvent(attributes_here(event) | fixed, data)


@given(made_events)
def test_an_event_survives_the_wire(event):
    """Whatever can be published arrives, value for value and type for type."""
    arrived = decode(events.encode(event), CONTENT_TYPE)

    assert arrived == event
    assert repr(arrived.data) == repr(event.data)
    assert repr(arrived.extensions) == repr(event.extensions)


def test_the_deepest_data_survives_the_wire():
    """Data that is just not too deep to be written is not too deep to be read."""
    data: list[Any] = []
    for _ in range(json_text.MAX_DEPTH - 1):
        data = [data]
    event = Event(id="1", type="a.b", source="shop", time=messages.NOON, data=data)

    assert decode(events.encode(event), CONTENT_TYPE) == event


@given(bodies, content_types, all_headers, properties)
def test_any_message_is_an_event_or_refused_with_a_reason(body, content_type, headers, properties):
    """No bytes and no headers raise anything else, and what was read can be sent again."""
    try:
        event = decode(body, content_type, headers=headers, properties=properties)
    except (InvalidEnvelope, NotAccepted) as refusal:
        reason = str(refusal)
        assert reason.endswith(".")
        assert "\x00" not in reason.encode().decode()  # a dead letter must be able to keep it
    else:
        assert decode(events.encode(event), CONTENT_TYPE) == event


@given(documents, all_headers)
def test_any_structured_document_is_an_event_or_refused(document, headers):
    """Documents that are nearly right are judged like those that are far off."""
    with suppress(InvalidEnvelope):
        event = decode(json.dumps(document).encode(), CONTENT_TYPE, headers=headers)
        assert decode(events.encode(event), CONTENT_TYPE) == event


@given(made_events)
def test_the_sdk_reads_what_we_write(event):
    """Other systems find our events to be CloudEvents."""
    message = rabbitmq.RabbitMQMessage({}, CONTENT_TYPE, events.encode(event))

    read = rabbitmq.from_rabbitmq_event(message)

    assert attributes_in_sdk(read) == attributes_here(event)
    assert read.get_data() == event.data


@given(made_events)
def test_we_read_what_the_sdk_writes_structured(event):
    """Events of other systems arrive here whole."""
    message = rabbitmq.to_structured_event(in_sdk(event, event.data))

    read = decode(message.body, message.content_type)

    assert read == event


@given(
    made_events,
    st.none() | st.dictionaries(st.text(characters), json_values) | st.binary(min_size=1),
)
def test_we_read_what_the_sdk_writes_binary_for_rabbitmq(event, data):
    """In RabbitMQ's binding all attributes are texts in headers."""
    message = rabbitmq.to_binary_event(in_sdk(event, data))

    read = decode(message.body, message.content_type, headers=message.headers)

    assert attributes_here(read) == attributes_in_sdk(rabbitmq.from_rabbitmq_event(message))
    assert read.data == data


@given(
    made_events,
    st.none() | st.dictionaries(st.text(characters), json_values) | st.binary(min_size=1),
)
@pytest.mark.parametrize("prefix", ["cloudEvents_", "cloudEvents:"])
def test_we_read_what_the_sdk_writes_binary_for_amqp_1_0(prefix, event, data):
    """In AMQP 1.0 attributes keep their types, and times are milliseconds."""
    message = amqp.to_binary_event(in_sdk(event, data))
    headers = {
        name.replace("cloudEvents_", prefix): value
        for name, value in message.application_properties.items()
    }

    read = decode(message.application_data, message.properties["content-type"], headers=headers)

    expected = attributes_here(event)
    late = abs(read.time - expected.pop("time"))
    assert late < timedelta(milliseconds=2)  # the SDK counts them in a float
    assert {k: v for k, v in attributes_here(read).items() if k != "time"} == expected
    assert read.data == data
