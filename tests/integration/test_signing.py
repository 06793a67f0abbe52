"""Can anybody without a key make us handle something? Signatures, from publish() to the ledger."""

from __future__ import annotations

import hmac
import json
import zlib
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import override_settings

from taskrouting import Reject, operators, publish, subscribe
from taskrouting.consuming import delivery
from taskrouting.consuming.judging import Outcome
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message, WorkerProcess
from taskrouting.transport import messages, receiving, signing, store
from taskrouting.transport.messages import Arrival
from tests.integration.copies import arrival, site

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]

OLD, NEW, OTHER = "old" * 16, b"new" * 16, "other" * 8


@pytest.fixture(autouse=True)
def keys(settings):
    """An installation whose messages are signed, and signed messages alone are handled."""
    settings.TASKROUTING = {"SOURCE": "tests", "SIGNING_KEYS": [NEW, OLD]}
    return settings


@pytest.fixture
def handled():
    """The ids of the events that the one subscription of a queue has handled."""
    found: list[str] = []
    subscribe("video.#", queue="video_queue", name="a")(lambda event: found.append(event.id))
    return found


def taken(queue: str = "video_queue") -> Arrival:
    """Take the one message off a queue of the embedded broker."""
    (row,) = store.claim(queue, 10, timedelta(minutes=1), using="default")
    return receiving.arrival_of(row, queue)


def with_keys(*keys: Any, **more: Any) -> override_settings:
    """Other keys for a while."""
    return override_settings(TASKROUTING={"SOURCE": "tests", "SIGNING_KEYS": keys, **more})


def refused(came: Arrival) -> str:
    """Deliver a message that must become a dead letter; return why."""
    before = Delivery.objects.count()
    here, acknowledged = site()
    assert delivery.deliver(came, here) == [Outcome.DEAD]
    letter = DeadLetter.objects.latest("pk")
    assert (letter.reason, bytes(letter.body)) == ("not_accepted", came.body)
    assert (len(acknowledged), Delivery.objects.count()) == (1, before)
    return letter.error


def test_what_is_published_is_signed_handled_and_recorded(handled, run_subscribers):
    """Signing changes nothing for those who know the key."""
    event = publish("video.upload", {"title": "Bunny"})
    run_subscribers()

    assert handled == [event.id]
    assert AuditLog.objects.filter(event_id=event.id).count() == 1


def test_unsigned_messages_are_refused(handled):
    """In whatever form; the error says what to do."""
    event = json.dumps({"specversion": "1.0", "id": "1", "type": "video.upload", "source": "s"})
    for content_type in ("application/json", "application/cloudevents+json"):
        assert "is not signed" in refused(arrival(event.encode(), content_type=content_type))
    assert handled == []


CHANGES: dict[str, dict[str, Any]] = {
    "the body": {"body": b'{"specversion":"1.0","id":"2","type":"video.upload","source":"s"}'},
    "the routing key": {"routing_key": "video.delete"},
    "a routing key that takes from its neighbour": {"routing_key": "video.upload\x00application"},
    "the content type": {"content_type": "application/cloudevents+json; charset=latin-1"},
    "a form that reads headers": {"content_type": "application/json"},
    "an address": {"subscription": "a", "token": uuid4()},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_was_changed_on_the_way_is_refused(handled, change):
    """Nothing that decides what is run with what can be exchanged."""
    publish("video.upload")
    came = taken()

    delivery.deliver(replace(came, **change), site()[0])

    assert DeadLetter.objects.get().reason in ("not_accepted", "undecodable")
    assert handled == []
    assert delivery.deliver(came, site()[0]) == [Outcome.HANDLED]


@pytest.mark.parametrize("signature", ["", "0" * 64, "é", 7, ["a"], None, b"a"])
def test_a_signature_that_is_none_is_refused(handled, signature):
    """Whatever stands in the header."""
    publish("video.upload")
    came = taken()

    refused(replace(came, headers={**came.headers, messages.SIGNATURE: signature}))


def test_a_signature_of_another_key_is_refused(handled):
    """And the error says what may be the matter."""
    with with_keys(OTHER):
        publish("video.upload")

    assert "not (or no longer) among TASKROUTING['SIGNING_KEYS']" in refused(taken())


def test_keys_rotate(handled):
    """The newest signs, each of them verifies; one that was removed does not."""
    with with_keys(OLD):
        publish("video.upload")
    old = taken()
    Message.objects.all().delete()
    publish("video.upload")
    new = taken()

    with with_keys(OLD):
        refused(new)
    for came in (old, new):
        assert delivery.deliver(came, site()[0]) == [Outcome.HANDLED]
    with with_keys(NEW):
        refused(old)


def test_a_message_sent_again_is_a_duplicate(handled):
    """A signature does not wear off: it is the ledger that handles an event once."""
    event = publish("video.upload")
    came = taken()

    delivery.deliver(came, site()[0])
    assert delivery.deliver(came, site()[0]) == [Outcome.DUPLICATE]

    assert handled == [event.id]


def second_copy():
    """The copy for the second attempt of a handler that fails once, and the attempts so far."""
    attempts: list[int] = []

    @subscribe("video.#", queue="video_queue", name="a")
    def flaky(event):
        attempts.append(1)
        if len(attempts) < 2:
            raise ValueError("once")

    publish("video.upload")
    delivery.deliver(taken(), site()[0])
    Message.objects.filter(queue="video_queue", token=None).delete()
    store.hasten(using="default")
    return taken(), attempts


def test_retries_are_signed_and_their_tokens_cannot_be_exchanged(run_subscribers):
    """A copy is for its queue, subscription and token alone, and handled there."""
    copy, attempts = second_copy()
    assert isinstance(copy.token, UUID)

    for change in ({"token": uuid4()}, {"subscription": "b"}, {"queue": "other_queue"},
                   {"subscription": None, "token": None}):  # fmt: skip
        refused(replace(copy, **change))
    assert delivery.deliver(copy, site()[0]) == [Outcome.HANDLED]
    assert len(attempts) == 2


def test_nobody_buries_a_delivery_with_a_token_he_has_seen():
    """What a stranger sends with it is kept as his; the delivery's own copy runs all the same."""
    copy, _attempts = second_copy()

    refused(replace(copy, body=b'{"forged": true}'))

    assert DeadLetter.objects.get().delivery is None
    assert delivery.deliver(copy, site()[0]) == [Outcome.HANDLED]


def test_a_message_that_is_passed_on_is_signed_again(handled):
    """A worker of another release puts it back for whoever wants it, who verifies it."""
    WorkerProcess.objects.create(
        name="w",
        queues=["video_queue"],
        subscriptions={"video_queue": {"b": ["film.#"]}},
        threads=1,
        pid=1,
        host="h",
    )
    publish("film.upload")
    stray = replace(taken("audit_queue"), queue="video_queue")

    assert delivery.deliver(stray, site()[0]) == []
    store.hasten(using="default")
    subscribe("film.#", queue="video_queue", name="b")(lambda event: None)

    assert delivery.deliver(taken(), site()[0]) == [Outcome.HANDLED]


@pytest.mark.parametrize("effects", ["database", "external"])
def test_dead_deliveries_are_redriven(run_subscribers, effects):
    """Whatever key signed the message that died; the copy is signed with the newest."""
    broken = [True]

    @subscribe("video.#", queue="video_queue", name="a", effects=effects)
    def handle(event):
        if broken.pop():
            raise Reject("no codec")

    with with_keys(OLD):
        publish("video.upload")
        run_subscribers()
    broken[:] = [False]

    with with_keys(NEW):
        assert operators.redrive(DeadLetter.objects.get())
        run_subscribers()

    assert Delivery.objects.get().state == "handled"


def test_what_arrived_is_redriven_as_it_was_signed(run_subscribers):
    """What nobody wanted is handled when somebody does; what nobody signed is not blessed."""
    publish("video.upload")
    delivery.deliver(replace(taken("audit_queue"), queue="video_queue"), site()[0])
    delivery.deliver(arrival(b"{}"), site()[0])
    Message.objects.all().delete()
    unmatched, unsigned = DeadLetter.objects.order_by("pk")
    seen: list[str] = []
    subscribe("video.#", queue="video_queue", name="late")(lambda event: seen.append(event.id))

    operators.redrive(unmatched)
    operators.redrive(unsigned)
    run_subscribers()

    assert len(seen) == 1
    assert [each.reason for each in DeadLetter.objects.filter(resolved_at=None)] == ["not_accepted"]


def test_what_was_not_routed_is_redriven(run_subscribers):
    """It was signed when it was published, for the routing key that it still has."""
    with with_keys(NEW, AUDIT={"queue": None}):
        event = publish("video.upload")
    seen: list[str] = []
    subscribe("video.#", queue="video_queue", name="late")(lambda event: seen.append(event.id))

    operators.redrive(DeadLetter.objects.get())
    run_subscribers()

    assert seen == [event.id]


def test_while_keys_are_introduced_unsigned_messages_are_accepted(handled):
    """``UNSIGNED = "accept"``: everybody signs, nobody is refused but who signs wrongly."""
    with override_settings(TASKROUTING={"SOURCE": "tests"}):
        publish("video.upload")
    unsigned = taken()
    Message.objects.all().delete()

    with with_keys(NEW, UNSIGNED="accept"):
        assert delivery.deliver(unsigned, site()[0]) == [Outcome.HANDLED]
        assert delivery.deliver(arrival(b"{}"), site()[0]) == [Outcome.HANDLED]
        publish("video.upload")
        signed = taken()
        refused(replace(signed, routing_key="video.delete"))
    assert delivery.deliver(signed, site()[0]) == [Outcome.HANDLED]


def test_without_keys_signatures_are_not_looked_at(handled):
    """A worker that has no keys yet handles what is signed already."""
    publish("video.upload")
    came = taken()

    with override_settings(TASKROUTING={"SOURCE": "tests"}):
        assert delivery.deliver(came, site()[0]) == [Outcome.HANDLED]


@pytest.mark.parametrize("content_type", ["application/json", "image/jpeg", None])
def test_only_what_is_signed_whole_is_read(handled, content_type):
    """A right signature of a message whose attributes stand in headers, which it does not cover."""
    bare = arrival(b"{}", content_type=content_type, headers={"ce-specversion": "1.0"})
    made = messages.Message(
        body=bare.body, routing_key=bare.routing_key, content_type=content_type or ""
    )
    headers = {**bare.headers, **signing.signed(made).headers}

    assert "only application/cloudevents+json is read" in refused(replace(bare, headers=headers))


def test_a_program_that_knows_the_key_can_sign(handled):
    """What is signed, byte by byte, as the documentation says it."""
    body = b'{"specversion":"1.0","id":"1","type":"video.upload","source":"greenhouse"}'
    content_type = "application/cloudevents+json"
    covered = f"taskrouting-1\0video.upload\0{content_type}\0\0\0\0".encode() + body
    signature = hmac.new(NEW, covered, sha256).hexdigest()
    headers = {"x-taskrouting-signature": signature}

    signed = arrival(body, content_type=content_type, headers=headers)
    assert delivery.deliver(signed, site()[0]) == [Outcome.HANDLED]
    packed = {**headers, "compression": "gzip"}
    again = arrival(zlib.compress(body), content_type=content_type, headers=packed)
    assert delivery.deliver(again, site()[0]) == [Outcome.DUPLICATE]


def waiting_row() -> Message:
    """A row that is kept until its message has been received."""
    publish("video.upload")
    Message.objects.filter(queue="audit_queue").delete()
    return Message.objects.get()


def received(came: Arrival) -> bool:
    """Settle a message where rows are kept; return whether the row of ``video_queue`` went."""
    here, _ = site()
    delivery.settle(came, replace(here, kept=True))
    return not Message.objects.exists()


def test_a_row_goes_only_for_the_message_it_holds(handled):
    """Whoever names a row must have had from us the very body that waits in it, for that queue."""
    row = waiting_row()
    came = taken()
    name = signing.name_of_row(row.pk, messages.Message(
        queue="video_queue", body=came.body, routing_key="video.upload"))  # fmt: skip
    assert isinstance(name, str)

    forged = (
        row.pk,
        f"{row.pk}:",
        f"{row.pk}:{'0' * 64}",
        f"{row.pk + 1}{name[name.index(':') :]}",
    )
    for each in (*forged, None, ["a"], 10**30):
        assert not received(replace(came, headers={messages.ROW: each}))
    true = {messages.ROW: name}
    assert not received(replace(came, headers=true, body=b"{}"))
    assert not received(replace(came, headers=true, queue="audit_queue"))
    assert not received(replace(came, headers={**true, "compression": "gzip"}))
    assert received(replace(came, headers=true))


def test_without_keys_a_row_goes_by_its_number(handled):
    """As it does where nobody signs."""
    with override_settings(TASKROUTING={"SOURCE": "tests"}):
        row = waiting_row()
        came = taken()
        assert received(replace(came, headers={messages.ROW: row.pk}))


@pytest.mark.parametrize(
    ("name", "row"), [(7, 7), (True, None), (0, None), (-1, None), (1 << 63, None), (1.0, None)]
)
def test_only_a_number_of_a_row_names_one(keys, name, row):
    """Where nothing is signed, what a stranger writes into the header lets nothing else go."""
    keys.TASKROUTING = {"SOURCE": "tests"}

    assert signing.row_of(arrival(headers={messages.ROW: name})) == row
