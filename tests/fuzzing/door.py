"""What is promised to whatever arrives? It is settled once, and handled or kept; nothing raises."""

from __future__ import annotations

from collections.abc import Callable

from taskrouting import events
from taskrouting.consuming import batches, delivery, given_up
from taskrouting.consuming.site import Site
from taskrouting.events import Event
from taskrouting.models import DeadLetter, Delivery, Message
from taskrouting.transport.messages import Arrival

#: What the stand-ins were given since the last message.
handled: list[Event] = []


def stand_in(event: Event) -> None:
    """Handle an event: whatever was read can be written again, as a retry would have to."""
    events.encode(event)
    handled.append(event)


def stand_in_for_many(several: list[Event]) -> None:
    """Handle several events."""
    for event in several:
        stand_in(event)


def deliver(arrival: Arrival) -> None:
    """Deliver a message, and fail unless it was settled once and is handled or kept."""
    _watch(arrival, lambda here: delivery.deliver(arrival, here))


def deliver_many(arrival: Arrival) -> None:
    """Deliver a message as a batch of one, with the same promise."""
    _watch(arrival, lambda here: batches.deliver([arrival], here))


def give_up(arrival: Arrival) -> None:
    """Take a message that the broker has given up on; it is kept or goes back."""
    _watch(arrival, lambda here: given_up.take(arrival, here))


def _watch(arrival: Arrival, run: Callable[[Site], object]) -> None:
    Delivery.objects.all().delete()  # nothing is a duplicate
    DeadLetter.objects.all().delete()
    Message.objects.all().delete()
    handled.clear()
    acknowledged: list[Arrival] = []

    run(Site(worker="door", acknowledge=acknowledged.append, kept=True))

    settled = [(each.generation, each.tag) for each in acknowledged]
    assert settled == [(arrival.generation, arrival.tag)], f"settled {len(settled)} times"
    letter = DeadLetter.objects.first()
    if letter is None:
        # A suspect waits in the store for each of its subscriptions; a token that the ledger did
        # not give out entitles to nothing.
        waits = Message.objects.exists()
        assert handled or waits or arrival.token, "neither handled nor kept"
    else:
        assert not handled
        assert bytes(letter.body) == arrival.body, "not kept as it came"
        assert "Traceback" not in letter.error, letter.error
