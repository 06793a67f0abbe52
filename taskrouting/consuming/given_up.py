"""What about a message that RabbitMQ itself gave up on? It goes back to its queue, or is kept.

========================  =======================================================================
why it was given up       what becomes of it
========================  =======================================================================
delivered too often       nothing against it: closing a connection counts against every message
                          that was prefetched over it. It goes back, as a suspect
... and it has crashed    a dead letter ``broker``
... and it has come back  a dead letter ``broker``: it has been put back ``MAX_CRASHES`` times, and
again and again           came as often without having been handled
expired, rejected, ...    a dead letter ``broker``: somebody wanted it out of the queue
========================  =======================================================================

What cannot be read, or is wanted by nobody, is kept for that reason, as from any other queue.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

from taskrouting import conf, log_fields
from taskrouting.dead_letters.models import DeadLetter
from taskrouting.transport.messages import EXCHANGE, RETURNS, Arrival

from . import delivery, faults, ledger
from .judging import Outcome
from .settling import settle
from .site import Site

logger = logging.getLogger("taskrouting.delivery")

#: RabbitMQ's word for a message that was returned to its queue too often.
TOO_OFTEN = "delivery_limit"


def take(arrival: Arrival, site: Site) -> list[Outcome]:
    """Take a message off the broker's dead-letter queue; harmless when it is taken twice.

    Raises DatabaseAway when the database is away: nothing is settled, hand the message back.
    """
    return delivery.costing_only_itself(_take, arrival, site, instead=[Outcome.DEAD])


def _take(arrival: Arrival, site: Site) -> list[Outcome]:
    ours, why = as_it_was(arrival)
    opened = delivery.open_message(ours, site)
    if opened is None:
        return [Outcome.DEAD]
    event, wanted = opened
    if not wanted:
        return []
    returns = _returns(arrival)
    told = f"The broker gave up on it in queue {ours.queue!r}; reason: {why}."
    crashed = ledger.has_crashed(event, [each.name for each in wanted])
    if why == TOO_OFTEN and not crashed and returns < conf.current().max_crashes:
        faults.resolutely(
            lambda: delivery.put_back(ours, event, timedelta(0), {RETURNS: returns + 1})
        )
        fields = log_fields.about(event, queue=ours.queue)
        logger.warning(
            "Event %s goes back (time %d). %s", event.id, returns + 1, told, extra=fields
        )
        outcome = Outcome.SNOOZED
    else:
        told += f" It was put back {returns} times before." if returns else ""
        mark = f"{DeadLetter.Reason.BROKER}|{ours.queue}|{arrival.token}|{event.source}|{event.id}"
        faults.resolutely(lambda: delivery.keep(ours, DeadLetter.Reason.BROKER, told, mark=mark))
        outcome = Outcome.DEAD
    settle(arrival, site)
    return [outcome]


def as_it_was(arrival: Arrival) -> tuple[Arrival, str]:
    """Return the message as it was in its queue before the broker gave up on it, and why it did.

    RabbitMQ published it anew, to its dead-letter exchange. Where it was published first is part
    of a foreign event's identity. Whatever else is in those headers may be anybody's.
    """
    noted = {name: text for name, text in arrival.headers.items() if isinstance(text, str)}
    home = noted.get("x-first-death-queue") or arrival.queue
    why = noted.get("x-first-death-reason", "unknown")
    before = replace(arrival, queue=home, redelivered=True)
    deaths = arrival.headers.get("x-death")
    if EXCHANGE in arrival.headers or not isinstance(deaths, list):
        return before, why
    for death in deaths:
        match death:
            case {"queue": str(queue), "exchange": str(exchange)} if queue == home:
                return replace(before, exchange=exchange), why
    return before, why


def _returns(arrival: Arrival) -> int:
    """Read how often it was put back; the header may be anybody's."""
    returns = arrival.headers.get(RETURNS)
    return returns if isinstance(returns, int) and 0 <= returns < 1_000_000 else 0
