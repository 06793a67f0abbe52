"""What may an operator do with a dead letter? The real pipeline before and after, inline."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test import override_settings

from taskrouting import Reject, Retry, context, operators, publish, subscribe
from taskrouting.consuming import delivery as pipeline
from taskrouting.consuming.attempts import Site
from taskrouting.dead_letters import records
from taskrouting.exceptions import CannotRedrive
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message
from taskrouting.transport import messages
from taskrouting.transport.messages import OUTBOX, Arrival
from taskrouting.transport.messages import Message as Parcel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]


class Handler:
    """A handler that can be mended while the test goes on."""

    def __init__(self, name: str, *, broken: bool) -> None:
        self.broken = broken
        self.calls = 0
        retry = Retry(max_attempts=1)
        subscribe("video.#", queue="video_queue", name=name, retry=retry)(self)

    def __call__(self, event: object) -> None:
        """Handle the event, or reject it."""
        self.calls += 1
        if self.broken:
            raise Reject("the codec is missing")


@pytest.fixture
def transcoder() -> Handler:
    """A subscription whose handler rejects everything until it is mended."""
    return Handler("transcoder", broken=True)


@pytest.fixture
def letter(transcoder, run_subscribers) -> DeadLetter:
    """The dead letter of a delivery that the transcoder rejected."""
    publish("video.upload", {"title": "Bunny"})
    run_subscribers()
    return DeadLetter.objects.get()


def arrived(body: bytes = b"{}", **changes: object) -> DeadLetter:
    """The dead letter of a message that arrived and could not be handed to anybody."""
    values: dict[str, object] = {
        "queue": "video_queue",
        "body": body,
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": {},
        "properties": {"message_id": "m-1", "app_id": "shop"},
        "exchange": "events",
        "routing_key": "video.upload",
        "redelivered": False,
    }
    copy = Arrival(**{**values, **changes})  # type: ignore[arg-type]
    pipeline.deliver(copy, Site(worker="here", acknowledge=lambda arrival: None))
    return DeadLetter.objects.latest("pk")


def refresh(row):
    """The row as the database has it now."""
    return type(row).objects.get(pk=row.pk)


def test_a_redrive_runs_the_delivery_that_died_and_no_neighbour(
    letter, transcoder, run_subscribers
):
    """Only the subscription that failed runs again, and its attempts are counted anew."""
    neighbour = Handler("neighbour", broken=False)
    transcoder.broken = False

    assert operators.redrive(letter, note="codec installed") is True
    run_subscribers()

    row = Delivery.objects.get(subscription="transcoder")
    assert (row.state, row.attempts, transcoder.calls) == ("handled", 1, 2)
    assert neighbour.calls == 0
    assert (refresh(letter).resolution, refresh(letter).note) == ("redriven", "codec installed")


def test_what_an_operator_did_is_in_the_audit_log(letter, run_subscribers):
    """Redriving is an event like any other: who, what, and why."""
    with context.acting(actor="auth.user:7 (ana)"):
        operators.redrive(letter, note="codec installed")
    run_subscribers()

    entry = AuditLog.objects.get(routing_key="taskrouting.operator.redriven")
    assert entry.actor == "auth.user:7 (ana)"
    assert entry.subject == operators.subject_of(letter.pk) == f"taskrouting.deadletter/{letter.pk}"
    assert entry.data == {
        "dead_letter": letter.pk,
        "reason": "rejected",
        "queue": "video_queue",
        "subscription": "transcoder",
        "event_id": letter.event_id,
        "routing_key": "video.upload",
        "note": "codec installed",
    }


def test_the_actor_may_be_named_by_whoever_calls(letter, capture_events):
    """A command has no request: it says who acts, and that goes before the context."""
    with context.acting(actor="nobody"), capture_events() as published:
        operators.discard(letter, "too old", actor="command:ana")

    assert [event.actor for event in published] == ["command:ana"]


def test_redriving_twice_is_redriving_once(letter, capture_events):
    """Whoever comes second is told so, and no second copy and no second event are made."""
    with capture_events() as published:
        assert operators.redrive(letter) is True
        assert operators.redrive(letter) is False

    assert Message.objects.filter(subscription="transcoder").count() == 1
    assert len(published) == 1


@pytest.mark.django_db(transaction=True)
def test_two_operators_at_once_redrive_once(letter):
    """Of two that press the button at the same moment, one is told that it was done before."""
    together = Barrier(2, timeout=10)

    def press() -> bool:
        try:
            together.wait()
            return operators.redrive(letter)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as operators_at_work:
        presses = [operators_at_work.submit(press) for _ in range(2)]

    assert sorted(press.result() for press in presses) == [False, True]
    assert Message.objects.filter(subscription="transcoder").count() == 1


def test_what_dies_again_is_a_dead_letter_again(letter, run_subscribers):
    """A redrive is no promise: the second death is kept like the first."""
    operators.redrive(letter)
    run_subscribers()

    again = DeadLetter.objects.exclude(pk=letter.pk).get()
    assert (again.reason, again.resolved_at, again.delivery) == ("rejected", None, letter.delivery)
    assert operators.redrive(again) is True


def test_a_delivery_that_was_pruned_is_not_redriven(letter, capture_events):
    """Without its ledger row nothing would keep it from running twice: refused, and left open."""
    Delivery.objects.all().delete()

    with capture_events() as published, pytest.raises(CannotRedrive, match="pruned"):
        operators.redrive(letter)

    assert refresh(letter).resolved_at is None
    assert len(published) == 0
    assert not Message.objects.filter(subscription="transcoder").exists()


def test_a_delivery_that_lives_is_not_redriven(letter):
    """There is nothing to run again, and the dead letter stays for somebody to discard."""
    Delivery.objects.update(state=Delivery.State.HANDLED)

    with pytest.raises(CannotRedrive, match="handled, not dead"):
        operators.redrive(letter)

    assert refresh(letter).resolved_at is None


def test_a_dead_delivery_is_redriven_by_its_dead_letter(letter, transcoder, run_subscribers):
    """Whoever starts at the ledger gets the same as whoever starts at the dead letter."""
    transcoder.broken = False
    dead = Delivery.objects.get()

    assert operators.redrive_delivery(dead, note="again") is True
    assert operators.redrive_delivery(dead) is False
    run_subscribers()

    assert (refresh(dead).state, refresh(letter).note) == ("handled", "again")


def test_a_delivery_whose_dead_letter_was_discarded_is_not_run_again(letter):
    """Discarded is for good: the delivery is discarded with it, and the ledger is no back door."""
    operators.discard(letter, "the video was deleted")

    assert operators.redrive_delivery(Delivery.objects.get()) is False

    assert Delivery.objects.get().state == "discarded"
    assert Delivery.objects.get().result == {"discarded": "the video was deleted"}


def test_an_unmatched_message_is_tried_again_as_it_was(run_subscribers):
    """Once a subscription wants it, a redrive hands it over with every byte it came with."""
    letter = arrived(b'{"title": "Bunny"}', headers={"x-tenant": "blue"})
    assert letter.reason == "unmatched"
    late = Handler("late", broken=False)

    assert operators.redrive(letter) is True

    row = Message.objects.get(queue="video_queue")
    assert bytes(row.body) == b'{"title": "Bunny"}'
    assert row.headers["x-tenant"] == "blue"
    assert row.properties == {"message_id": "m-1", "app_id": "shop"}
    run_subscribers()
    assert (late.calls, Delivery.objects.get().event_id) == (1, "m-1")


def test_bytes_that_are_still_no_event_come_back(run_subscribers):
    """A redrive of what nobody can read ends where it began, in a dead letter of its own."""
    letter = arrived(b"{broken")

    operators.redrive(letter)
    run_subscribers()

    again = DeadLetter.objects.exclude(pk=letter.pk).get()
    assert (again.reason, bytes(again.body)) == ("undecodable", b"{broken")


def test_an_unroutable_event_is_routed_again(run_subscribers):
    """It goes back to the outbox, and from there to whoever wants it by now."""
    with override_settings(TASKROUTING={"AUDIT": {"queue": None}}):
        publish("video.upload")
    letter = DeadLetter.objects.get()
    assert letter.reason == "unroutable"
    late = Handler("late", broken=False)

    operators.redrive(letter)

    assert Message.objects.filter(event_id=letter.event_id, queue=OUTBOX).count() == 1
    run_subscribers()
    assert late.calls == 1
    assert AuditLog.objects.filter(event_id=letter.event_id).count() == 1


def test_an_addressed_copy_that_the_broker_refused_keeps_its_right_to_run(run_subscribers):
    """Its token comes back with it, or the ledger would take it for a duplicate."""
    flaky = Handler("flaky", broken=True)
    subscription = {"queue": "video_queue", "subscription": "flaky"}
    event = publish("video.upload")
    run_subscribers()
    token = uuid4()
    Delivery.objects.update(state=Delivery.State.PENDING, token=token, finished_at=None)
    DeadLetter.objects.all().delete()
    copy = messages.of_event(event, exchange="events", token=token, **subscription)
    records.keep_message(copy, DeadLetter.Reason.REFUSED, "no such queue")
    flaky.broken = False

    assert operators.redrive(DeadLetter.objects.get()) is True
    assert Message.objects.get(queue="video_queue").token == token
    run_subscribers()

    assert (Delivery.objects.get().state, flaky.calls) == ("handled", 2)


def test_what_a_broker_noted_on_the_first_copy_is_not_sent_again():
    """RabbitMQ counts deaths in headers; the copy that is put back has died of nothing yet."""
    deaths = {"x-death": [{"count": 3}], "x-first-death-queue": "video_queue", "x-tenant": "blue"}
    letter = arrived(headers=deaths)

    operators.redrive(letter)

    headers = Message.objects.get(queue="video_queue").headers
    assert headers["x-tenant"] == "blue"
    assert not {"x-death", "x-first-death-queue"} & set(headers)


def test_what_came_packed_goes_round_again_packed(run_subscribers):
    """The bytes are kept as they came, so the header that says how to unpack them is, too."""
    body = zlib.compress(b'{"title": "Bunny"}')
    letter = arrived(body=body, headers={"compression": "application/x-gzip"})
    handled = Handler("late", broken=False)

    operators.redrive(letter)
    run_subscribers()

    assert handled.calls == 1


def test_discarding_closes_for_good_and_says_why(letter, capture_events, run_subscribers):
    """The reason is kept with the dead letter, told as an event, and nothing runs."""
    with capture_events() as published:
        assert operators.discard(letter, "the video was deleted") is True
        assert operators.discard(letter, "again") is False
        assert operators.redrive(letter) is False
    runs = run_subscribers()

    (event,) = published.assert_published("taskrouting.operator.discarded", times=1)
    assert event.data["note"] == "the video was deleted"
    assert (refresh(letter).resolution, refresh(letter).note) == (
        "discarded",
        "the video was deleted",
    )
    assert [run for run in runs if run.subscription == "transcoder"] == []
    assert Delivery.objects.get(pk=letter.delivery).state == "discarded"


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_discarding_needs_a_reason(letter, reason):
    """Whoever looks later has nothing else to go by."""
    with pytest.raises(ValueError, match="reason"):
        operators.discard(letter, reason)

    assert refresh(letter).resolved_at is None


def test_all_of_it_commits_together_or_not_at_all(letter):
    """Rolled back, the dead letter is open, the delivery dead, and no message waits."""
    with transaction.atomic():
        operators.redrive(letter)
        transaction.set_rollback(True)

    assert refresh(letter).resolved_at is None
    assert Delivery.objects.get().state == "dead"
    assert not Message.objects.exists()


def test_where_nobody_wants_to_know_an_operator_makes_no_new_dead_letters(letter):
    """Without an audit log, "discarded" would be unroutable, and so a dead letter, without end."""
    with override_settings(TASKROUTING={"AUDIT": {"queue": None}}):
        assert operators.discard(letter, "too old") is True

    assert DeadLetter.objects.filter(resolved_at=None).count() == 0


def test_a_message_of_ours_keeps_its_address_in_a_dead_letter():
    """The headers of a dead letter say to whom an addressed copy was going."""
    token = uuid4()
    copy = Parcel(
        queue="video_queue", subscription="a", token=token, body=b"{}", routing_key="video.upload"
    )

    records.keep_message(copy, DeadLetter.Reason.REFUSED, "no such queue")

    headers = DeadLetter.objects.get().headers
    assert headers[messages.SUBSCRIPTION] == "a"
    assert headers[messages.TOKEN] == str(token)
