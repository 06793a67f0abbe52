"""How does a handler run, and what follows from what it returned or raised?

There are two ways to run. *Directly*: claim, handler and outcome commit together, so a copy that
comes twice finds the row. *Leased*: the delivery first moves into the store under a lease and the
broker's copy is acknowledged; that is the way of ``effects="external"`` and of every suspect, a
copy that was delivered before and may have taken its worker down.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.db import connections, transaction

from taskrouting import conf, context, json_text, signals
from taskrouting.events import Event
from taskrouting.exceptions import InvalidEventData, LeaseLost, Snooze
from taskrouting.routing.subscriptions import Subscription
from taskrouting.transport.outage import Outage

from . import claims, faults, ledger, overdue, strays, timeouts
from .claims import Claim, Copy
from .judging import Outcome, Reason, bury, judge
from .site import Site, database, isolate_on_commit
from .turns import in_turn

logger = logging.getLogger("taskrouting.delivery")

#: What a handler may raise; SystemExit and CancelledError end the handler, not the worker.
HANDLER_ERRORS = (Exception, SystemExit, CancelledError)

#: How soon a delivery that a fault of the installation interrupted runs again, uncounted.
SOON = timedelta(seconds=1)

#: Longest result, in characters of JSON, that the ledger keeps.
LONGEST_RESULT = 10_000


class Attempt:
    """One try to run one copy: from the claim to the recorded outcome."""

    def __init__(self, copy: Copy, site: Site) -> None:
        self._copy = copy
        self._site = site
        self._started = datetime.now(UTC)
        self._number = 0
        self._error: BaseException | None = None

    def directly(self) -> Outcome:
        """Claim, handle and record in one transaction; a failure is recorded in a second one.

        Raises DatabaseAway when the database is away; nothing is left behind.
        """
        try:
            outcome = faults.resolutely(self._handle_and_record)
        except faults.DatabaseAway:
            raise
        except HANDLER_ERRORS as error:
            if faults.is_outage(error) or self._site.leaving.is_set():
                raise faults.DatabaseAway(str(error)) from error
            return self.failed(error)
        return self._tell(outcome)

    def leased(self, acknowledge: Callable[[], None]) -> Outcome:
        """Commit claim and lease, acknowledge the broker's copy, and only then handle.

        Raises DatabaseAway when the database is away before the lease is committed.
        """
        claim = faults.resolutely(self._start)
        acknowledge()
        if claim is None:
            return self._tell(Outcome.DUPLICATE)
        if not claim.leased:
            return self._tell(Outcome.DEAD)
        with self._site.leases.held(claim.token):
            handle = self._handle_inside if _writes_here(claim) else self._handle_outside
            try:
                return self._tell(handle(claim))
            except faults.DatabaseAway:
                raise
            except Exception:
                logger.exception("Delivery %s runs again when its lease is over.", claim.delivery)
                return Outcome.LOST

    def failed(self, error: BaseException) -> Outcome:
        """Record the failure of a handler that ran, and was rolled back, elsewhere."""
        self._error = error
        return self._tell(faults.resolutely(self._claim_and_record_failure))

    def overran(self, claim: Claim, error: BaseException) -> Outcome:
        """Record the timeout of a handler that still runs under a lease, elsewhere."""
        return self._tell(self._record(claim, error=error))

    def _handle_and_record(self) -> Outcome:
        with in_turn(), transaction.atomic(using=database()):
            claim = claims.claim(self._copy, self._site.worker)
            if claim is None:
                return Outcome.DUPLICATE
            ledger.succeed(claim, self._call(claim, self._again().failed))
            isolate_on_commit()
        return Outcome.HANDLED

    def _claim_and_record_failure(self) -> Outcome:
        """The handler's transaction is rolled back and its claim with it: claim again."""
        with transaction.atomic(using=database()):
            claim = claims.claim(self._copy, self._site.worker)
            return Outcome.DUPLICATE if claim is None else self._judge(claim)

    def _start(self) -> Claim | None:
        """Claim and lease, or bury what has crashed too often (then it holds no lease)."""
        with transaction.atomic(using=database()):
            claim = claims.claim(self._copy, self._site.worker)
            if claim is None:
                return None
            if claim.crashes >= conf.current().max_crashes:
                bury(claim, Reason.CRASHED, None)
                return claim
            return ledger.lease(claim)

    def _handle_inside(self, claim: Claim) -> Outcome:
        """A suspect whose handler writes on ``DATABASE``: handler and outcome commit together."""

        def handle() -> Outcome:
            with in_turn(), transaction.atomic(using=database()):
                ledger.succeed(claim, self._call(claim, overrun))
                isolate_on_commit()
            return Outcome.HANDLED

        overrun = partial(self._again().overran, claim)
        try:
            return faults.resolutely(handle)
        except HANDLER_ERRORS as error:
            away = isinstance(error, faults.DatabaseAway)
            return self._record(claim, error=self._charged(error, away))

    def _handle_outside(self, claim: Claim) -> Outcome:
        """No transaction is open while the handler runs."""
        before = faults.session()
        try:
            result = self._call(claim, partial(self._again().overran, claim))
        except HANDLER_ERRORS as error:
            away = faults.is_outage(error, before)
            return self._record(claim, error=self._charged(error, away))
        return self._record(claim, result)

    def _again(self) -> Attempt:
        """The same attempt for another thread, which speaks for a handler that cannot."""
        attempt = Attempt(self._copy, self._site)
        attempt._started = self._started
        return attempt

    def _charged(self, error: BaseException, away: bool) -> BaseException:
        """What the attempt is charged with: nothing, if a fault or our leaving has ended it."""
        interrupted = away or self._site.leaving.is_set()
        return Snooze(SOON, "interrupted") if interrupted else error

    def _record(
        self, claim: Claim, result: Any = None, *, error: BaseException | None = None
    ) -> Outcome:
        """Write the outcome; while the database is away, keep it and try again."""
        self._error = error
        outage = Outage("database (outcome)")
        while True:
            try:
                return faults.resolutely(lambda: self._write(claim, result))
            except LeaseLost as lost:
                logger.warning("%s", lost)
                return Outcome.LOST
            except faults.DatabaseAway as away:
                connections.close_all()
                if self._site.leaving.wait(outage.noticed(away).total_seconds()):
                    raise

    def _write(self, claim: Claim, result: Any) -> Outcome:
        with transaction.atomic(using=database()):
            if self._error is not None:
                return self._judge(claim)
            ledger.succeed(claim, result)
            return Outcome.HANDLED

    def _judge(self, claim: Claim) -> Outcome:
        assert self._error is not None  # noqa: S101  # for the type checker
        self._number = claim.attempt
        return judge(claim, self._error, self._started, self._site.worker)

    def _call(self, claim: Claim, overrun: overdue.Record) -> Any:
        """Run the handler; return its result if the ledger can keep it."""
        self._number = claim.attempt
        signals.emit(
            signals.delivery_started,
            Attempt,
            event=claim.event,
            subscription=claim.subscription.name,
            queue=claim.queue,
            attempt=claim.attempt,
        )
        argument = [claim.event] if claim.subscription.batch else claim.event
        return _kept(call(claim.subscription, argument, claim.event, self._site, overrun))

    def _tell(self, outcome: Outcome) -> Outcome:
        signals.emit(
            signals.delivery_finished,
            Attempt,
            event=self._copy.event,
            subscription=self._copy.subscription.name,
            queue=self._copy.queue,
            attempt=self._number,
            outcome=outcome.value,
            duration=datetime.now(UTC) - self._started,
            error=self._error,
        )
        return outcome


def call(
    subscription: Subscription,
    argument: Any,
    cause: Event | None,
    site: Site,
    overrun: overdue.Record,
) -> Any:
    """Run the handler in the context of the event it handles; return what it returned.

    ``overrun`` records, in another thread, the timeout of a handler that does not end.
    """
    with ExitStack() as stack:
        stack.enter_context(
            context.acting(
                actor=cause.actor if cause else None,
                correlation_id=(cause.correlation_id or cause.id) if cause else None,
                causation_id=cause.id if cause else None,
                traceparent=cause.traceparent if cause else None,
            )
        )
        if subscription.effects == "database":
            stack.enter_context(strays.noticed(subscription.name))
        run = stack.enter_context(site.runs.entered())
        give_up = overdue.giving_up(run, overrun, site)
        stack.enter_context(timeouts.limit(subscription, run, give_up))
        return timeouts.call(subscription, argument, run)


def _writes_here(claim: Claim) -> bool:
    return claim.subscription.effects == "database"


def _kept(result: Any) -> Any:
    """Keep a result that JSON and the database can hold and that is not huge."""
    try:
        return result if len(json_text.dumps(result, "result")) <= LONGEST_RESULT else None
    except InvalidEventData:
        return None
