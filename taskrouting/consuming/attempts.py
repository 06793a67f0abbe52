"""How does a handler run, and what follows from what it returned or raised?

There are two ways to run. *Directly*: claim, handler and outcome commit together, so a copy that
comes twice finds the row. *Leased*: the delivery first moves into the store under a lease and the
broker's copy is acknowledged; that is the way of ``effects="external"`` and of every suspect, a
copy that was delivered before and may have taken its worker down. Of those one runs at a time in
each process: if the process dies then, it is that one's crash.
"""

from __future__ import annotations

import logging
import traceback
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connections, transaction

from taskrouting import conf, json_text, log_fields, masking, signals
from taskrouting.exceptions import InvalidEventData, LeaseLost, Snooze
from taskrouting.transport.outage import Outage

from . import claims, faults, ledger, overdue
from .calling import call
from .claims import Claim, Copy
from .judging import Outcome, Reason, bury, judge
from .site import Site, database, isolate_on_commit
from .turns import in_turn

logger = logging.getLogger("taskrouting.delivery")

#: What a handler may raise; SystemExit and CancelledError end the handler, not the worker.
HANDLER_ERRORS = (Exception, SystemExit, CancelledError)

#: How soon a delivery that a fault of the installation interrupted runs again, uncounted.
SOON = timedelta(seconds=1)

#: How many seconds a suspect waits for another one, in its thread, and then where it is in no way.
PATIENCE, ASIDE = 0.25, timedelta(seconds=5)

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
        self._token: UUID | None = None

    def directly(self) -> Outcome:
        """Claim, handle and record in one transaction; a failure is recorded in a second one.

        Raises DatabaseAway when the database is away; nothing is left behind.
        """
        try:
            outcome = faults.resolutely(self._handle_and_record)
        except faults.Contended as error:
            return self.failed(Snooze(SOON, str(error)))
        except faults.DatabaseAway:
            raise
        except HANDLER_ERRORS as error:
            faults.blame(error, self._site.leaving)
            return self.failed(error)
        return self.tell(outcome)

    def leased(self, acknowledge: Callable[[], None]) -> Outcome:
        """Commit claim and lease, acknowledge the broker's copy, and only then handle.

        Raises DatabaseAway when the database is away before the lease is committed, ClaimHeld when
        somebody is just running the delivery: nothing is left behind, nothing acknowledged.
        """
        with self._alone() as alone:
            with self._site.leases.in_doubt(lambda: self._token):
                started = faults.resolutely(lambda: self._start(alone))
            acknowledge()
            if isinstance(started, Outcome):
                return self.tell(started)
            with self._site.leases.held(started.token):
                return self._run(started)

    def failed(self, error: BaseException) -> Outcome:
        """Record the failure of a handler that ran, and was rolled back, elsewhere."""
        self._error = error
        return self.tell(faults.resolutely(self._claim_and_record_failure))

    def overran(self, claim: Claim, error: BaseException) -> Outcome:
        """Record the timeout of a handler that still runs under a lease, elsewhere."""
        return self.tell(self._record(claim, error=error))

    def _handle_and_record(self) -> Outcome:
        with in_turn(), transaction.atomic(using=database()):
            claim = claims.claim(self._copy, self._site.worker)
            if claim is None:
                return Outcome.DUPLICATE
            ledger.succeed(claim, self.handle(claim, self._again().failed))
            isolate_on_commit()
        return Outcome.HANDLED

    def _claim_and_record_failure(self) -> Outcome:
        """The handler's transaction is rolled back and its claim with it: claim again."""
        with transaction.atomic(using=database()):
            claim = claims.claim(self._copy, self._site.worker)
            return Outcome.DUPLICATE if claim is None else self._judge(claim)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Let no other suspect run in this process for a block, if ours is one; say if that is so.

        Others that wait for a thread must not wait for a long suspect: it is only asked for a
        moment.
        """
        alone = self._copy.suspect and self._site.suspect_runs.acquire(timeout=PATIENCE)
        try:
            yield alone
        finally:
            if alone:
                self._site.suspect_runs.release()

    def _start(self, alone: bool) -> Claim | Outcome:
        """Claim and lease; or the outcome without a run."""
        with transaction.atomic(using=database()):
            claim = claims.claim(self._copy, self._site.worker)
            if claim is None:
                return Outcome.DUPLICATE
            if claim.crashes >= conf.current().max_crashes:
                bury(claim, Reason.CRASHED, None)
                return Outcome.DEAD
            if claim.suspect and not alone:
                ledger.put_aside(claim, ASIDE if self._copy.suspect else timedelta(0))
                return Outcome.SNOOZED
            self._token = claim.token
            return ledger.lease(claim)

    def _run(self, claim: Claim) -> Outcome:
        """Handle under the lease that is held."""
        handle = self._handle_inside if _writes_here(claim) else self._handle_outside
        try:
            return self.tell(handle(claim))
        except faults.DatabaseAway:
            raise
        except Exception as error:  # noqa: BLE001  # told here, and again by who runs it then
            text = "".join(traceback.format_exception(error))
            logger.error(
                "Delivery %s runs again when its lease is over.\n%s",
                claim.delivery,
                masking.without_values(text, claim.event.data),
                extra=self._fields(),
            )
            return Outcome.LOST

    def _handle_inside(self, claim: Claim) -> Outcome:
        """A suspect whose handler writes on ``DATABASE``: handler and outcome commit together."""

        def handle() -> Outcome:
            with in_turn(), transaction.atomic(using=database()):
                ledger.succeed(claim, self.handle(claim, overrun))
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
            result = self.handle(claim, partial(self._again().overran, claim))
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
                outcome = faults.resolutely(lambda: self._write(claim, result))
            except LeaseLost as lost:
                logger.warning("%s", lost, extra=self._fields())
                faults.resolutely(lambda: ledger.acquit(claim))
                outcome = Outcome.LOST
            except faults.DatabaseAway as away:
                connections.close_all()
                if self._site.leaving.wait(outage.noticed(away).total_seconds()):
                    raise
                continue
            outage.over()
            return outcome

    def _write(self, claim: Claim, result: Any) -> Outcome:
        with transaction.atomic(using=database()):
            if self._error is not None:
                return self._judge(claim)
            ledger.succeed(claim, result)
            return Outcome.HANDLED

    def _fields(self) -> dict[str, Any]:
        """Say in a log line which attempt this is."""
        copy = self._copy
        more = {"subscription": copy.subscription.name, "queue": copy.queue}
        return log_fields.about(copy.event, **more, attempt=self._number)

    def _judge(self, claim: Claim) -> Outcome:
        assert self._error is not None  # noqa: S101  # for the type checker
        self._number = claim.attempt
        return judge(claim, self._error, self._started, self._site.worker)

    def handle(self, claim: Claim, overrun: overdue.Record) -> Any:
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
        event, site = claim.event, self._site
        return _kept(call(claim.subscription, argument, event, site, overrun, claim.attempt))

    def tell(self, outcome: Outcome) -> Outcome:
        """Tell whoever listens."""
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


def _writes_here(claim: Claim) -> bool:
    return claim.subscription.effects == "database"


def _kept(result: Any) -> Any:
    """Keep a result that JSON and the database can hold and that is not huge."""
    if result is None:
        return None
    try:
        return result if len(json_text.dumps(result, "result")) <= LONGEST_RESULT else None
    except InvalidEventData:
        return None
