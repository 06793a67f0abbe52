"""Why did an event go where it went? Bindings and patterns as today's code has them.

The ledger keeps the queue and the subscription of each delivery, not the pattern that matched. So
the reasons are those of today; a delivery that today's code does not explain is marked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from django.utils.safestring import SafeString
from django.utils.translation import gettext

from taskrouting import catalog, topics
from taskrouting.audit import writer
from taskrouting.catalog import Stop
from taskrouting.exceptions import InvalidRoutingKey
from taskrouting.models import Delivery
from taskrouting.routing.subscriptions import Subscription

from . import shown


@dataclass(frozen=True, slots=True)
class Reason:
    """One queue and one subscription, and why the event is theirs."""

    queue: str
    bindings: tuple[str, ...] = ()
    declared: bool = True
    subscription: str = ""
    patterns: tuple[str, ...] = ()
    outcome: SafeString | str = ""
    #: False where only the ledger knows that it went there.
    today: bool = True


def of(routing_key: str, deliveries: Sequence[Delivery] | None, recorded: bool) -> list[Reason]:
    """Explain where ``routing_key`` goes; ``None`` for deliveries that the user may not view."""
    try:
        stops = catalog.explain(routing_key).stops
    except InvalidRoutingKey:  # came from elsewhere: nothing can be published under it here
        stops = ()
    outcomes = {
        (each.queue, each.subscription): shown.state(each.state, each.get_state_display())
        for each in deliveries or ()
    }
    if recorded:
        outcomes |= {
            (stop.queue, writer.NAME): shown.state("handled", gettext("recorded")) for stop in stops
        }
    found = [reason for stop in stops for reason in _at(stop, routing_key)]
    explained = {(reason.queue, reason.subscription) for reason in found}
    unknown = "" if deliveries is None else gettext("no record")
    return [
        *(_with_outcome(reason, outcomes, unknown) for reason in found),
        *(
            Reason(queue, subscription=name, outcome=outcome, today=False)
            for (queue, name), outcome in outcomes.items()
            if (queue, name) not in explained and name != writer.NAME
        ),
    ]


def _at(stop: Stop, routing_key: str) -> Iterator[Reason]:
    """The subscriptions of one queue; a queue without any is a reason too."""
    for each in stop.subscriptions:
        yield Reason(
            stop.queue, stop.patterns, stop.declared, each.name, _matching(each, routing_key)
        )
    if not stop.subscriptions:
        yield Reason(stop.queue, stop.patterns, stop.declared)


def _with_outcome(
    reason: Reason, outcomes: dict[tuple[str, str], SafeString], unknown: str
) -> Reason:
    return replace(reason, outcome=outcomes.get((reason.queue, reason.subscription), unknown))


def _matching(subscription: Subscription, routing_key: str) -> tuple[str, ...]:
    return tuple(each for each in subscription.patterns if topics.matches(each, routing_key))
