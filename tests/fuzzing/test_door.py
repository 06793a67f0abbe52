"""Can anything that arrives raise, hang, or get lost? Whatever Hypothesis thinks of.

``make fuzz`` looks further, guided by what the code does with what it gets.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from time import process_time

import pytest
from hypothesis import HealthCheck, example, given, settings

from taskrouting import Batch, subscribe
from taskrouting.models import DeadLetter
from taskrouting.routing.subscriptions import registry
from taskrouting.transport import messages
from tests.fuzzing import door, strange, written
from tests.integration.copies import arrival

pytestmark = [pytest.mark.django_db]

CASES = sorted((Path(__file__).parent / "cases").iterdir())

# Each example empties the tables first.
many = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def subscribed(subscriptions):
    """Two subscriptions of one queue: one commits with the ledger, one takes leases."""
    subscribe("video.#", queue="video_queue", name="a")(door.stand_in)
    subscribe("video.#", queue="video_queue", name="b", effects="external")(door.stand_in)


@many
@given(strange.arrivals())
@example(arrival(b"{}", routing_key="video.\ud800"))
@example(arrival(b"{}", headers={"x-taskrouting-row": 10**30}))
@example(arrival(b"{}", headers={"ce-specversion": Decimal("sNaN"), "CE-specversion": "1.0"}))
@example(arrival(b"\xef\xbb\xbf{}"))
def test_whatever_arrives_is_handled_or_kept(came):
    """No exception leaves the loop; what is no event is a dead letter with its bytes."""
    door.deliver(came)


@many
@given(strange.arrivals())
def test_whatever_the_broker_gave_up_on_is_kept(came):
    """Nobody reads it, so nothing about it can be wrong."""
    door.give_up(came)


@many
@given(strange.arrivals())
def test_whatever_arrives_for_a_batch_is_handled_or_kept(came):
    """The same for a queue whose messages are taken together."""
    subscribe("#", queue="batch_queue", name="c", batch=Batch())(door.stand_in_for_many)
    try:
        door.deliver_many(replace(came, queue="batch_queue"))
    finally:
        registry.remove("c")


def inside(depth: int) -> list[object]:
    """Lists in lists."""
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [99, 150, 900])
@pytest.mark.parametrize("place", ["headers", "properties"])
def test_what_is_nested_deeply_beside_the_body_is_handled_or_kept(place, depth):
    """Whatever walks headers and properties stops before Python does."""
    names = (*messages.OURS, "message_id", "ce-specversion", "compression", "x-first-death-queue")

    for name in names:
        door.deliver(arrival(b"{}", **{place: {name: inside(depth)}}))
        door.give_up(arrival(b"{}", **{place: {name: inside(depth)}}))


#: A megabyte of each kind of trouble; what needs more than linear time needs minutes for it.
SIZE = 1_000_000
HEAVY = {
    "nested lists": b"[" * SIZE,
    "nested dicts": b'{"a":' * (SIZE // 5),
    "a number": b"1" * SIZE,
    "a fraction": b"0." + b"1" * SIZE,
    "numbers": b"[" + b"1e15," * (SIZE // 5) + b"1]",
    "long numbers": b"[" + (b"1" * 4000 + b",") * (SIZE // 4000) + b"1]",
    "one key": b"{" + b'"a":1,' * (SIZE // 6) + b'"a":1}',
    "many keys": json.dumps(dict.fromkeys(map(str, range(SIZE // 12)))).encode(),
    "escapes": b'"' + b"\\u00e9" * (SIZE // 6) + b'"',
    "halves of pairs": b'"' + b"\\ud800" * (SIZE // 6) + b'"',
    "empty lists": b"[" + b"[]," * (SIZE // 3) + b"1]",
    "blanks": b" " * SIZE + b"1",
    "an open text": b'"' + b'\\"' * (SIZE // 2),
    "base64": b'{"specversion":"1.0","data_base64":"' + b"=" * SIZE + b'"}',
    "a time": b'{"specversion":"1.0","time":"2026-01-01T00:00:00.' + b"1" * SIZE + b'Z"}',
    "an attribute": b'{"specversion":"1.0","id":"' + b"x" * SIZE + b'"}',
}
#: Seconds of processor time that tell milliseconds from minutes, on any machine.
PATIENCE = 60


@pytest.mark.parametrize("body", HEAVY.values(), ids=HEAVY.keys())
def test_no_message_needs_more_time_than_its_size(body):
    """A megabyte of anything takes milliseconds."""
    kind = "cloudevents+json" if b"specversion" in body else "json"
    began = process_time()

    door.deliver(arrival(body, content_type=f"application/{kind}"))

    assert process_time() - began < PATIENCE


@pytest.mark.parametrize("byte", [b" ", b"[", b'"', b"\xff"])
def test_twenty_megabytes_are_kept_unread(byte):
    """What is far too large is not even looked into."""
    door.deliver(arrival(byte * 20 * SIZE))

    assert "MAX_MESSAGE_BYTES" in DeadLetter.objects.get().error


HEAVY_BESIDE = {
    "a content type of signs": {"content_type": "a/" + "+" * SIZE},
    "a content type of parameters": {"content_type": "application/json" + "; " * SIZE},
    "a charset of blanks": {"content_type": "application/json;charset" + " " * SIZE},
    "a routing key of dots": {"routing_key": "." * SIZE},
    "many headers": {"headers": {"ce-specversion": "1.0"} | {f"ce-a{n}": n for n in range(50_000)}},
    "a long header": {"headers": {"ce-" * SIZE: "1.0"}},
    "a long property": {"properties": {"message_id": "x" * SIZE}},
}


@pytest.mark.parametrize("beside", HEAVY_BESIDE.values(), ids=HEAVY_BESIDE.keys())
def test_nothing_beside_the_body_needs_more_time_than_its_size(beside):
    """The same for content type, routing key, headers and properties."""
    began = process_time()

    door.deliver(arrival(b"{}", **beside))

    assert process_time() - began < PATIENCE


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_was_found_once_is_found_no_more(case):
    """Messages that a fuzzer begins with, and those it has stumbled over."""
    door.deliver(written.arrival(case.read_bytes()))
