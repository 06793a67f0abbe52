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
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from django.db import transaction

from taskrouting import conf, events, json_text, log_fields, masking
from taskrouting.dead_letters import records
from taskrouting.dead_letters.models import DeadLetter
from taskrouting.events import Event
from taskrouting.exceptions import InvalidEnvelope, NotAccepted
from taskrouting.log_fields import about_message
from taskrouting.routing.subscriptions import Subscription, registry
from taskrouting.transport import codecs, messages, signing, store
from taskrouting.transport.messages import RELAYED_AT, REPEAT, REWRITTEN, Arrival

from . import faults, ledger, presence
from .attempts import ASIDE, Attempt
from .claims import ClaimHeld, Copy
from .judging import Outcome
from .settling import settle
from .site import Site, database

logger = logging.getLogger("taskrouting.delivery")

T = TypeVar("T")

Reason = DeadLetter.Reason

#: How soon a message that was passed on comes again: time for others to look at the queue.
PASSED_ON = timedelta(seconds=1)

#: The extension under which the audit log finds when the event was relayed.
RELAYED_TIME = "relayedtime"

#: What the relay writes: an ISO 8601 instant. The header may be anybody's.
RELAYED_AT_TEXT = re.compile(r"[0-9T:.+-]{19,40}")


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
    return costing_only_itself(_deliver, arrival, site, instead=[Outcome.DEAD])


def costing_only_itself(
    work: Callable[[Arrival, Site], T], arrival: Arrival, site: Site, *, instead: T
) -> T:
    """Do ``work``; a message on which we stumble ourselves is kept, and ``instead`` returned."""
    try:
        return work(arrival, site)
    except faults.DatabaseAway:
        raise
    except Exception as error:
        if faults.is_outage(error):
            raise faults.DatabaseAway(str(error)) from error
        _keep_indigestible(arrival, error, site)
        return instead


def _keep_indigestible(arrival: Arrival, error: Exception, site: Site) -> None:
    """Keep a message over which we stumbled ourselves, with the traceback, and go on."""
    text = masking.hidden_in_text("".join(traceback.format_exception(error)))
    told, fields = "A message of queue %r could not be handled at all.\n%s", about_message(arrival)
    logger.error(told, arrival.queue, text, extra=fields)
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
    try:
        if len(copies) == 1 and _runs_leased(copies[0]):
            return [Attempt(copies[0], site).leased(lambda: settle(arrival, site))]
        left = forward(copies, site)
    except ClaimHeld as error:
        return [put_off(arrival, event, site, error)]
    outcomes = [Attempt(copy, site).directly() for copy in left]
    settle(arrival, site)
    return outcomes


def put_off(arrival: Arrival, event: Event, site: Site, error: ClaimHeld) -> Outcome:
    """Let a message whose delivery is just being run wait in the store, and in no thread."""
    logger.info(
        "Still being run elsewhere, so this copy of event %s waits: %s",
        event.id,
        error,
        extra=log_fields.about(event, queue=arrival.queue),
    )
    faults.resolutely(lambda: put_back(arrival, event, ASIDE))
    settle(arrival, site)
    return Outcome.SNOOZED


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
    limit = codecs.limit(arrival)
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
        whole = codecs.whole(arrival)
        signing.verify(whole)
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
    put_back(arrival, event, PASSED_ON)
    logger.info(
        "Event %s on queue %r is left to a worker of another release.",
        event.id,
        arrival.queue,
        extra=log_fields.about(event, queue=arrival.queue),
    )


def put_back(
    arrival: Arrival, event: Event, delay: timedelta, headers: Mapping[str, Any] | None = None
) -> None:
    """Put a message as it came into its queue again, due after ``delay``; a suspect stays one."""
    repeat = {REPEAT: 1} if arrival.redelivered else {}
    copy = messages.of_event(
        event,
        exchange=arrival.exchange,
        routing_key=arrival.routing_key,
        queue=arrival.queue,
        subscription=arrival.subscription or "",
        token=arrival.token,
        headers={REWRITTEN: 1, **repeat, **(headers or {})},
        delay=delay,
    )
    store.put([signing.signed(copy)], using=database())


def keep(arrival: Arrival, reason: Reason, error: str, *, mark: str = "") -> None:
    """Keep a message as a dead letter; a delivery whose turn it was is dead with it.

    But not on the word of somebody who has merely seen its token. A second one with the same
    ``mark`` is not kept.
    """
    with transaction.atomic(using=database()):
        its_turn = arrival.token is not None and signing.is_trusted(arrival)
        delivery = ledger.bury_copy(arrival) if its_turn else None
        records.keep_arrival(arrival, reason, error, delivery=delivery, mark=mark)


def copy_of(arrival: Arrival, event: Event, subscription: Subscription) -> Copy:
    """The copy of ``event`` for one subscription that came with ``arrival``."""
    return Copy(
        event=event,
        subscription=subscription,
        queue=arrival.queue,
        routing_key=arrival.routing_key,
        token=arrival.token,
        suspect=arrival.redelivered,
    )


def forward(copies: list[Copy], site: Site) -> list[Copy]:
    """Where several subscriptions want one message, give those that run leased one each.

    A thread holds one lease, and a suspect must run alone. Returns the copies left to run here.
    Raises ClaimHeld as ``claims.claim`` does.
    """
    leased = [copy for copy in copies if len(copies) > 1 and _runs_leased(copy)]

    def put() -> None:
        with transaction.atomic(using=database()):
            for copy in leased:
                ledger.postpone_new(copy, site.worker)

    if leased:
        faults.resolutely(put)
    return [copy for copy in copies if copy not in leased]


def _unmatched(arrival: Arrival) -> Undeliverable:
    known = ", ".join(each.name for each in registry.on_queue(arrival.queue)) or "none"
    named = f"is named {arrival.subscription!r}"
    whom = named if arrival.subscription else f"wants {arrival.routing_key!r}"
    return Undeliverable(
        Reason.UNMATCHED,
        f"No subscription of queue {arrival.queue!r} {whom}; there are: {known}. Was one renamed, "
        "or is a binding left that the code no longer declares (declare_topology --prune)?",
    )


def _runs_leased(copy: Copy) -> bool:
    return copy.suspect or copy.subscription.effects == "external"


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
