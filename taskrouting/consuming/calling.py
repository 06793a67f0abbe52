"""How is a handler called? In the context of its event, where it can be reached and ended."""

from __future__ import annotations

from typing import Any

from taskrouting import around, context
from taskrouting.context import Handling
from taskrouting.events import Event
from taskrouting.routing.subscriptions import Subscription

from . import overdue, strays, timeouts
from .site import Site


def call(
    subscription: Subscription,
    argument: Any,
    cause: Event | None,
    site: Site,
    overrun: overdue.Record,
    attempt: int | None = None,
) -> Any:
    """Run the handler in the context of the event it handles; return what it returned.

    ``overrun`` records, in another thread, the timeout of a handler that does not end.
    """
    handling = Handling(cause, subscription.name, subscription.queue, attempt)
    caused = context.Within(_caused_by(cause, handling))
    surrounded = around.handler(subscription, argument if subscription.batch else [argument])
    with caused, surrounded, strays.noticed(subscription), site.runs.entered() as run:
        give_up = overdue.giving_up(run, overrun, site, handling)
        with timeouts.limit(subscription, run, give_up):
            return timeouts.call(subscription, argument, run)


def _caused_by(event: Event | None, handling: Handling) -> context.Context:
    """The context of what the handler of ``event`` does."""
    if event is None:
        return context.Context(handling=handling)
    return context.Context(
        actor=event.actor,
        correlation_id=event.correlation_id or event.id,
        causation_id=event.id,
        traceparent=event.traceparent,
        handling=handling,
    )
