"""What happens to one message? Decode, match, claim, handle, judge, settle, in this order.

=========  =====================================================================================
decode     bytes become an event; else a dead letter
match      the queue's subscriptions that want it; none: passed on to a worker of another
           release that has one (a deployment rolls on), else a dead letter
claim      may this copy run? (``claims.py``) If not: DUPLICATE
handle     the subscription's handler runs (``attempts.py``)
judge      what it returned or raised becomes an outcome, written with what follows from it
settle     the broker's copy is acknowledged, when everything above is committed
=========  =====================================================================================
"""

from __future__ import annotations

import logging
import re
import traceback
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db import transaction

from taskrouting import conf, events, json_text
from taskrouting.dead_letters import records
from taskrouting.dead_letters.models import DeadLetter
from taskrouting.events import Event
from taskrouting.exceptions import InvalidEnvelope, NotAccepted
from taskrouting.routing.subscriptions import Subscription, registry
from taskrouting.transport import codecs, messages, store
from taskrouting.transport.messages import PASSED_ON, RELAYED_AT, REPEAT, ROW, Arrival

from . import faults, ledger, presence
from .attempts import Attempt
from .claims import Copy
from .judging import Outcome
from .site import Site, database

logger = logging.getLogger("taskrouting.delivery")

Reason = DeadLetter.Reason

#: When a message that was passed on comes again: time for others to look at the queue.
SOON = timedelta(seconds=1)

#: The extension under which the audit log finds when the event was relayed.
RELAYED_TIME = "relayedtime"

#: What the relay writes: an ISO 8601 instant. The header may be anybody's.
RELAYED_AT_TEXT = re.compile(r"[0-9T:.+-]{19,40}")


#: How many times as large as MAX_MESSAGE_BYTES a copy that we made ourselves may be.
GROWTH = 8


class Undeliverable(Exception):
    """The message cannot be handed to any handler; it becomes a dead letter."""

    def __init__(self, reason: Reason, error: str) -> None:
        super().__init__(error)
        self.reason = reason


def deliver(arrival: Arrival, site: Site) -> list[Outcome]:
    """Take one message from its bytes to the outcome of every subscription that wants it.

    Raises DatabaseAway when the database is away: nothing is settled, hand the message back.
    What else goes wrong outside the handler is this message's fault, and costs only this message.
    """
    try:
        return _deliver(arrival, site)
    except faults.DatabaseAway:
        raise
    except Exception as error:
        if faults.is_outage(error):
            raise faults.DatabaseAway(str(error)) from error
        keep_indigestible(arrival, error, site)
        return [Outcome.DEAD]


def keep_indigestible(arrival: Arrival, error: Exception, site: Site) -> None:
    """Keep a message over which we stumbled ourselves, with the traceback, and go on."""
    logger.exception("A message of queue %r could not be handled at all.", arrival.queue)
    text = "".join(traceback.format_exception(error))
    faults.resolutely(lambda: keep(arrival, Reason.UNDECODABLE, text))
    settle(arrival, site)


def _deliver(arrival: Arrival, site: Site) -> list[Outcome]:
    opened = open_message(arrival, site)
    if opened is None:
        return [Outcome.DEAD]
    event, wanted = opened
    if not wanted:
        return []
    copies = [copy_of(arrival, event, subscription) for subscription in wanted]
    if len(copies) == 1 and _runs_leased(copies[0], arrival):
        return [Attempt(copies[0], site).leased(lambda: settle(arrival, site))]
    outcomes = [Attempt(copy, site).directly() for copy in forward(copies, arrival, site)]
    settle(arrival, site)
    return outcomes


def keep_given_up(arrival: Arrival, site: Site) -> None:
    """Keep a message that the broker itself gave up on, under the queue where that happened."""
    home = str(arrival.headers.get("x-first-death-queue") or arrival.queue)
    why = arrival.headers.get("x-first-death-reason", "unknown")
    text = f"The broker gave up on it in queue {home!r}; reason: {why}."
    letter = replace(arrival, queue=home)
    faults.resolutely(lambda: records.keep_arrival(letter, Reason.BROKER, text))
    site.acknowledge(arrival)


def open_message(arrival: Arrival, site: Site) -> tuple[Event, list[Subscription]] | None:
    """Decode and match; what cannot be is kept as a dead letter and acknowledged.

    Nobody is found where the message was passed on to another worker; it is acknowledged then.
    """
    try:
        event = _with_relay_time(decode(arrival), arrival)
        wanted = match(arrival)
        if not wanted:
            faults.resolutely(lambda: pass_on(arrival, event))
            settle(arrival, site)
        return event, wanted
    except Undeliverable as error:
        reason, text = error.reason, str(error)
        faults.resolutely(lambda: keep(arrival, reason, text))
        settle(arrival, site)
        return None


def decode(arrival: Arrival) -> Event:
    """Read the event. Raises Undeliverable for bytes that are none."""
    settings = conf.current()
    # A copy of ours has grown: bytes are base64, numbers stand in full, the relay's time is added.
    ours = arrival.token or PASSED_ON in arrival.headers
    limit = settings.max_message_bytes * (GROWTH if ours else 1)
    if len(arrival.body) > limit:
        raise Undeliverable(
            Reason.UNDECODABLE,
            f"The message has {len(arrival.body)} bytes; MAX_MESSAGE_BYTES allows {limit}.",
        )
    if fault := json_text.text_fault(arrival.routing_key[: events.MAX_LENGTH + 1]):
        raise Undeliverable(Reason.UNDECODABLE, f"The routing key: {fault}")
    if len(arrival.routing_key) > events.MAX_LENGTH:
        raise Undeliverable(Reason.UNDECODABLE, "The routing key is over 255 characters long.")
    try:
        whole = replace(arrival, body=codecs.unpacked(arrival, limit))
        return _decoded(whole, settings)
    except NotAccepted as error:
        raise Undeliverable(Reason.NOT_ACCEPTED, str(error)) from error
    except InvalidEnvelope as error:
        raise Undeliverable(Reason.UNDECODABLE, str(error)) from error


def match(arrival: Arrival) -> list[Subscription]:
    """Find who wants the message: whom it is addressed to, else by queue and pattern."""
    if arrival.subscription is None:
        return registry.wanting(arrival.queue, arrival.routing_key)
    named = registry.get(arrival.subscription)
    return [named] if named else []


def pass_on(arrival: Arrival, event: Event) -> None:
    """Put a message that nobody here wants back into its queue, for a worker that knows who does.

    It comes again soon, to that worker or to us. Raises Undeliverable when no worker that is alive
    knows anybody; a message that circulates meets that end when the last one has stopped.
    """
    if not presence.wanted_elsewhere(arrival):
        raise _unmatched(arrival)
    copy = messages.of_event(
        event,
        exchange=arrival.exchange,
        routing_key=arrival.routing_key,
        queue=arrival.queue,
        subscription=arrival.subscription or "",
        token=arrival.token,
        # A suspect stays one.
        headers={PASSED_ON: 1, **({REPEAT: 1} if arrival.redelivered else {})},
        delay=SOON,
    )
    store.put([copy], using=database())
    logger.info(
        "Event %s on queue %r is left to a worker of another release.", event.id, arrival.queue
    )


def keep(arrival: Arrival, reason: Reason, error: str) -> None:
    """Keep a message as a dead letter; a delivery whose turn it was is dead with it."""
    with transaction.atomic(using=database()):
        delivery = ledger.bury_copy(arrival) if arrival.token else None
        records.keep_arrival(arrival, reason, error, delivery=delivery)


def copy_of(arrival: Arrival, event: Event, subscription: Subscription) -> Copy:
    """The copy of ``event`` for one subscription that came with ``arrival``."""
    return Copy(
        event=event,
        subscription=subscription,
        queue=arrival.queue,
        routing_key=arrival.routing_key,
        token=arrival.token,
    )


def forward(copies: list[Copy], arrival: Arrival, site: Site) -> list[Copy]:
    """Where several subscriptions want one message, give those that run leased one each.

    A thread holds one lease, and a suspect must run alone. Returns the copies left to run here.
    """
    leased = [copy for copy in copies if len(copies) > 1 and _runs_leased(copy, arrival)]

    def put() -> None:
        with transaction.atomic(using=database()):
            for copy in leased:
                ledger.postpone_new(copy, site.worker)

    if leased:
        faults.resolutely(put)
    return [copy for copy in copies if copy not in leased]


def settle(arrival: Arrival, site: Site) -> None:
    """Everything is committed: let the outbox row go, where one waits for us, and acknowledge.

    A row that cannot go now is sent again; its copy is a duplicate, and lets the row go then.
    """
    row = arrival.headers.get(ROW)
    if site.kept and isinstance(row, int):
        try:
            faults.resolutely(lambda: store.received(row, arrival.queue, using=database()))
        except faults.DatabaseAway as error:
            logger.warning("Message %s will be sent again to be recognised: %s", row, error)
    site.acknowledge(arrival)


def _unmatched(arrival: Arrival) -> Undeliverable:
    known = ", ".join(each.name for each in registry.on_queue(arrival.queue)) or "none"
    named = f"is named {arrival.subscription!r}"
    whom = named if arrival.subscription else f"wants {arrival.routing_key!r}"
    return Undeliverable(
        Reason.UNMATCHED,
        f"No subscription of queue {arrival.queue!r} {whom}; there are: {known}. Was one renamed, "
        "or is a binding left that the code no longer declares (declare_topology --prune)?",
    )


def _runs_leased(copy: Copy, arrival: Arrival) -> bool:
    return arrival.redelivered or copy.subscription.effects == "external"


def _with_relay_time(event: Event, arrival: Arrival) -> Event:
    """Note on the event when the relay handed it to the broker, for the record."""
    relayed = arrival.headers.get(RELAYED_AT)
    if not isinstance(relayed, str) or not RELAYED_AT_TEXT.fullmatch(relayed):
        return event
    if RELAYED_TIME in event.extensions:
        return event
    return replace(event, extensions={**event.extensions, RELAYED_TIME: relayed})


def _decoded(arrival: Arrival, settings: conf.Settings) -> Event:
    where: dict[str, Any] = {
        "properties": arrival.properties,
        "routing_key": arrival.routing_key,
        "exchange": arrival.exchange,
    }
    try:
        return events.decode(
            arrival.body, content_type=arrival.content_type, headers=arrival.headers, **where
        )
    except NotAccepted:
        if "json" in settings.accept and len(settings.accept) == 1:
            raise
        return events.from_plain(codecs.deserialized(arrival, settings.accept), **where)
