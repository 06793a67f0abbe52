"""What happens to what is no event, or what nobody wants? Nothing falls on the floor."""

from __future__ import annotations

import json
import zlib

import pytest

from taskrouting import (
    publish,
    subscribe,
)
from taskrouting.consuming import delivery
from taskrouting.consuming.judging import Outcome
from taskrouting.models import DeadLetter
from tests.integration.copies import arrival, site

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]

BROKEN = [
    (b"\xff\xfe", "application/json", "undecodable"),
    (b"{", "application/json", "undecodable"),
    (b'{"specversion": "1.0"}', "application/cloudevents+json", "undecodable"),
    (b"<xml/>", "application/xml", "not_accepted"),
    (b"\x80\x04N.", "application/x-python-serialize", "not_accepted"),
]


@pytest.mark.parametrize(("body", "content_type", "reason"), BROKEN)
def test_what_is_no_event_becomes_a_dead_letter_with_its_bytes(body, content_type, reason):
    """Nothing falls on the floor: raw bytes, headers and the reason are kept, and it is settled."""
    subscribe("video.#", queue="video_queue", name="a")(print)
    here, acknowledged = site()

    result = delivery.deliver(
        arrival(body, content_type=content_type, headers={"x": b"\xff", "n": 1}), here
    )

    assert result == [Outcome.DEAD]
    letter = DeadLetter.objects.get()
    assert (bytes(letter.body), letter.reason, letter.queue) == (body, reason, "video_queue")
    assert letter.headers["n"] == 1
    assert letter.error
    assert len(acknowledged) == 1


ODD = {
    "a NUL in the routing key": {"routing_key": "video.\x00"},
    "an endless routing key": {"routing_key": "video." + "x" * 300},
    "a NUL in our own header": {"headers": {"x-taskrouting-relayed-at": "a\x00"}},
    "a forged row": {"headers": {"x-taskrouting-row": "1 OR 1=1"}},
    "a forged token": {"headers": {"x-taskrouting-token": "\x00"}, "content_type": "\x00"},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("effects", ["database", "external"])
def test_an_odd_message_costs_only_itself(odd, effects):
    """Whatever a stranger writes beside the body: it is settled, and the next is handled."""
    handled: list[str] = []
    subscribe("video.#", queue="video_queue", name="a", effects=effects)(
        lambda event: handled.append(event.id)
    )
    here, acknowledged = site()

    delivery.deliver(arrival(b"{}", **odd), here)
    delivery.deliver(arrival(b"{}", properties={"message_id": "next"}), here)

    assert handled[-1] == "next"
    assert len(acknowledged) == 2
    assert DeadLetter.objects.count() + len(handled) == 2


def test_an_error_that_cannot_say_what_it_is_is_recorded_all_the_same():
    """A handler's exception whose ``str()`` raises is a failed attempt like any other."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    @subscribe("video.#", queue="video_queue", name="a")
    def fail(event):
        raise Mute

    here, _ = site()

    assert delivery.deliver(arrival(b"{}"), here) == [Outcome.RETRY]


def test_a_message_nobody_on_the_queue_wants_is_kept():
    """A binding that outlived its subscription loses nothing."""
    subscribe("video.upload", queue="video_queue", name="a")(print)
    here, _ = site()

    delivery.deliver(arrival(b"{}", routing_key="video.gone"), here)

    letter = DeadLetter.objects.get()
    assert letter.reason == "unmatched"
    assert "video.gone" in letter.error and "a" in letter.error


def test_a_message_over_the_size_limit_is_kept_unread(settings):
    """``MAX_MESSAGE_BYTES`` holds for what arrives, too."""
    settings.TASKROUTING = {"MAX_MESSAGE_BYTES": 100}
    subscribe("video.#", queue="video_queue", name="a")(print)
    here, _ = site()

    delivery.deliver(arrival(json.dumps("x" * 200).encode()), here)

    assert "MAX_MESSAGE_BYTES" in DeadLetter.objects.get().error


def test_a_bomb_is_kept_as_it_came(settings):
    """``MAX_MESSAGE_BYTES`` holds after unpacking as well; the dead letter has the packed bytes."""
    settings.TASKROUTING = {"MAX_MESSAGE_BYTES": 1000}
    subscribe("video.#", queue="video_queue", name="a")(print)
    here, acknowledged = site()
    bomb = zlib.compress(json.dumps("x" * 100_000).encode())

    delivery.deliver(arrival(bomb, headers={"compression": "application/x-gzip"}), here)

    letter = DeadLetter.objects.get()
    assert (letter.reason, bytes(letter.body)) == ("undecodable", bomb)
    assert letter.headers == {"compression": "application/x-gzip"}
    assert len(acknowledged) == 1


@pytest.mark.parametrize("content_type", ["application/json", "image/jpeg"])
def test_an_event_of_the_largest_size_can_be_tried_again(settings, run_subscribers, content_type):
    """The copy for the second attempt is larger than what came, and is read all the same."""
    settings.TASKROUTING = {"MAX_MESSAGE_BYTES": 1000}
    attempts: list[int] = []

    @subscribe("video.#", queue="video_queue", name="a")
    def flaky(event):
        attempts.append(1)
        if len(attempts) < 2:
            raise ValueError("once")

    body = json.dumps([1e15] * 100).replace(".0", "").replace(" ", "").encode()
    binary = {"ce-specversion": "1.0", "ce-id": "1", "ce-type": "video.upload", "ce-source": "s"}
    headers = {} if content_type == "application/json" else binary
    body = body[:-1].replace(b"000000000000000", b"e15").ljust(999) + b"]"

    delivery.deliver(arrival(body, headers=headers, content_type=content_type), site()[0])
    run_subscribers(wait_for_delays=True)

    assert (len(attempts), list(DeadLetter.objects.all())) == (2, [])


def test_an_event_nobody_wants_is_a_dead_letter(settings, run_subscribers):
    """Unroutable is noticed where it happens."""
    settings.TASKROUTING = {"AUDIT": {"queue": None}}
    event = publish("nobody.listens")
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.event_id) == ("unroutable", event.id)

    settings.TASKROUTING = {"AUDIT": {"queue": None}, "UNROUTED": "ignore"}
    publish("nobody.listens")
    assert DeadLetter.objects.count() == 1
