"""What can arrive? Messages as odd as anybody can send them, for Hypothesis to draw."""

from __future__ import annotations

import bz2
import json
import lzma
import zlib
from datetime import timedelta, timezone

from hypothesis import strategies as st

from taskrouting.events import CONTENT_TYPE
from taskrouting.transport import messages
from taskrouting.transport.messages import Arrival

#: Every character there is, halves of surrogate pairs and NULs too, and more of those.
texts = st.text(st.characters(exclude_categories=[]) | st.sampled_from("\x00\ud800\udfff\ufeff"))

#: What Python's reader takes for JSON, and what it only nearly takes.
numbers = st.sampled_from(
    ["NaN", "Infinity", "-Infinity", "1e999", "-0", "1" * 5000, "0." + "1" * 5000, "01", "1e15"]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True, allow_infinity=True)
    | texts
)
json_values = st.recursive(
    scalars,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(texts, values, max_size=3),
    max_leaves=8,
)

#: Every attribute that we read, each with a value of whatever type.
ATTRIBUTES = (
    "specversion", "id", "type", "source", "time", "subject", "data", "data_base64", "authid",
    "authtype", "correlationid", "causationid", "traceparent", "datacontenttype", "dataschema",
    "relayedtime", "x",
)  # fmt: skip
documents = st.builds(
    dict.__or__,
    st.just({"specversion": "1.0", "id": "1", "type": "video.upload", "source": "shop"}),
    st.dictionaries(st.sampled_from(ATTRIBUTES) | texts, json_values, max_size=4),
)


def nested(opening: str, depth: int, closing: str) -> bytes:
    """JSON that is nothing but depth."""
    return (opening * depth + "1" + closing * depth).encode()


nests = st.builds(
    lambda pair, depth, closed: nested(pair[0], depth, pair[1] if closed else ""),
    st.sampled_from([("[", "]"), ('{"a":', "}")]),
    st.sampled_from([1, 99, 100, 101, 102, 500, 990, 1000, 5000, 100_000]),
    st.booleans(),
)
whole = (documents | json_values).map(
    lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
)
escaped = (documents | json_values).map(lambda value: json.dumps(value).encode())
twice = st.builds(lambda key, one, two: f'{{"{key}":{one},"{key}":{two}}}'.encode(),
                  st.sampled_from(ATTRIBUTES), numbers, numbers)  # fmt: skip
cut = st.builds(lambda body, end: body[: end % (len(body) + 1)], escaped, st.integers(0, 1000))
changed = st.builds(
    lambda body, at, byte: body[:at] + bytes([byte]) + body[at + 1 :],
    escaped,
    st.integers(0, 200),
    st.integers(0, 255),
)
encoded = st.builds(
    lambda value, charset: json.dumps(value).encode(charset),
    documents,
    st.sampled_from(["utf-16", "utf-32", "utf-8-sig", "latin-1"]),
)
large = st.just(b'"' + b"x" * 1_100_000 + b'"')  # just more than MAX_MESSAGE_BYTES
bodies = st.one_of(
    st.binary(), whole, escaped, nests, twice, cut, changed, encoded, numbers.map(str.encode), large
)

packed = st.sampled_from(
    [
        *[(name, pack(bytes(5_000_000))) for name, pack in
          (("gzip", zlib.compress), ("bzip2", bz2.compress), ("lzma", lzma.compress))],
        ("gzip", zlib.compress(b'{"title": "Bunny"}')),
        ("gzip", zlib.compress(b"{}")[:-3]),
        ("xz", b"\xfd7zXZ\x00"),
        ("rar", b"{}"),
    ]
)  # fmt: skip

#: Whatever a broker's tables could hold, and more.
table_values = st.recursive(
    scalars
    | st.binary()
    | st.datetimes()
    | st.datetimes(timezones=st.just(timezone(timedelta(hours=14))))
    | st.decimals(),
    lambda values: st.lists(values, max_size=2) | st.dictionaries(texts, values, max_size=2),
    max_leaves=4,
)


header_names = st.one_of(
    st.builds(str.__add__, st.sampled_from(["ce-", "cloudEvents:", "cloudEvents_", ""]),
              st.sampled_from(ATTRIBUTES) | texts),
    st.sampled_from([*messages.OURS, messages.COMPRESSION, "x-first-death-queue"]),
)  # fmt: skip
headers = st.builds(
    dict.__or__,
    st.sampled_from([{}, {f"ce-{n}": "1.0" for n in ("specversion", "id", "type", "source")}]),
    st.dictionaries(header_names, table_values, max_size=4),
)
properties = st.dictionaries(
    st.sampled_from(["message_id", "app_id", "timestamp", "correlation_id", "type", "priority"]),
    table_values,
    max_size=4,
)
content_types = st.one_of(
    st.none(),
    texts,
    st.sampled_from(
        [
            CONTENT_TYPE, "application/cloudevents", "application/cloudevents-batch+json",
            "application/json", "a/b+json; charset=latin-1", "application/json; charset=idna",
            "application/json;charset=utf-16", "application/x-python-serialize",
            "application/x-yaml", "application/data", "text/plain", "x/y", "x" * 1000,
        ]
    ),
)  # fmt: skip
routing_keys = st.just("video.upload") | st.builds("video.{}".format, texts | st.just("x" * 300))


@st.composite
def arrivals(draw: st.DrawFn) -> Arrival:
    """A message as the receiver hands it over, read from whatever headers there are."""
    told = draw(headers)
    body = draw(bodies)
    if draw(st.integers(0, 9)) == 0:
        told["compression"], body = draw(packed)
    exchange, routing_key, subscription, token = messages.address(
        told, "events", draw(routing_keys)
    )
    return Arrival(
        queue="video_queue",
        body=body,
        content_type=draw(content_types),
        content_encoding=draw(st.none() | texts),
        headers=told,
        properties=draw(properties),
        exchange=exchange,
        routing_key=routing_key,
        redelivered=draw(st.booleans()),
        subscription=subscription,
        token=token,
    )


#: What Kombu's JSON holds: attributes of any type, and its own way of writing others.
typed = st.fixed_dictionaries(
    {
        "__type__": st.sampled_from(["uuid", "datetime", "decimal", "bytes", "base64"]) | scalars,
        "__value__": json_values,
    }
)
envelopes = st.builds(
    dict.__or__,
    st.just({"body": "e30=", "content-type": "application/json", "content-encoding": "utf-8"}),
    st.fixed_dictionaries(
        {
            "headers": st.dictionaries(header_names, json_values | typed, max_size=3) | json_values,
            "properties": st.fixed_dictionaries(
                {"delivery_tag": st.uuids().map(str) | json_values},
                optional={
                    "body_encoding": st.sampled_from(["base64", None]) | json_values,
                    "delivery_info": json_values
                    | st.fixed_dictionaries(
                        {"exchange": st.just("") | json_values, "routing_key": json_values}
                    ),
                    "message_id": json_values | typed,
                    "timestamp": json_values | typed,
                },
            )
            | json_values,
        },
        optional={name: json_values for name in ("body", "content-type", "content-encoding")},
    ),
)

#: What can be pushed on a list in Redis: bytes, JSON, and what looks like Kombu's.
on_a_list = st.one_of(
    st.binary(),
    (envelopes | typed | json_values).map(lambda value: json.dumps(value).encode()),
    nests,
    changed,
)
