"""How do the figures of a process get into the table? Added to it now and then, for all together.

What was counted is written every few seconds by a thread of its own, so that a worker that is
blocked or stopped is not kept by it. While the database does not take it, it is kept and written
with what comes next. A process that is killed loses its last seconds of figures, and nothing else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.models.functions import Now
from django.utils import timezone

from taskrouting import conf
from taskrouting.exceptions import BrokerBlocked, BrokerUnavailable
from taskrouting.transport.outage import Outage
from taskrouting.transport.rows import add_up

from .models import Figure, Pulse
from .tally import WHERE, Backlog, Counted, Tally

logger = logging.getLogger("taskrouting.figures")

#: Seconds between two writes, between two looks at what waits, and between two clean-ups.
PAUSE, LOOK, CLEAN = 5.0, 15.0, 300.0

#: Seconds that the last write has when the process stops.
LAST_WRITE = 1.5

#: Stretches of time, in seconds, and for how long each is kept: a little longer than it is shown.
MINUTE, QUARTER = 60, 900
KEPT = {MINUTE: timedelta(minutes=75), QUARTER: timedelta(hours=25)}

#: What was last heard of processes that met a fault long ago.
FORGOTTEN = timedelta(days=1)

#: Longest text of a fault that is kept.
LONGEST_ERROR = 1000

KEY = ("span", "since", "queue", "subscription", "measure", "step")


@contextmanager
def collecting(look: Callable[[], Backlog] | None = None) -> Iterator[Tally]:
    """Collect this process's figures for a block; one that has ``look`` also says what waits."""
    tally = Tally()
    stop = threading.Event()
    thread = threading.Thread(
        target=_collect, args=[tally, look, stop], name="figures", daemon=True
    )
    with tally.listening():
        thread.start()
        try:
            yield tally
        finally:
            stop.set()
            thread.join(timeout=LAST_WRITE)


def write(tally: Tally) -> None:
    """Add what was counted to the table, all of it or nothing.

    Raises DatabaseError or InterfaceError when the database does not take it; it is counted still.
    """
    taken = tally.take()
    try:
        _write(taken)
    except BaseException:
        tally.give_back(taken)
        raise


def forget_old() -> None:
    """Delete what nobody is shown any more."""
    using, now = conf.current().database, timezone.now()
    for span, kept in KEPT.items():
        Figure.objects.using(using).filter(span=span, since__lt=now - kept).delete()
    Pulse.objects.using(using).filter(seen_at__lt=now - FORGOTTEN).delete()


def _collect(tally: Tally, look: Callable[[], Backlog] | None, stop: threading.Event) -> None:
    """Write until ``stop`` is set, and once more then."""
    outage = Outage(WHERE, longest=PAUSE)
    looked, cleaned = float("-inf"), time.monotonic()
    while True:
        stopped = stop.wait(PAUSE)
        now = time.monotonic()
        for connection in connections.all(initialized_only=True):
            connection.close_if_unusable_or_obsolete()  # of an outbox elsewhere, nobody else asks
        try:
            if look is not None and not stopped and now - looked >= LOOK:
                looked = now
                tally.waiting(look())
            write(tally)
            if now - cleaned >= CLEAN:
                cleaned = now
                forget_old()
            outage.over()
        except (DatabaseError, InterfaceError) as error:
            connections.close_all()
            outage.noticed(error)
        except Exception:  # a fault of ours must not end what is only looked at
            logger.exception("Could not write the figures of this process; trying again.")
        if stopped:
            break
    connections.close_all()


def _write(taken: Counted) -> None:
    """Write everything in one order, so that two processes wait for each other and no more."""
    using = conf.current().database
    rows = [
        {"queue": queue, "subscription": name, "measure": measure, "step": step, "count": count}
        for (queue, name, measure, step), count in sorted(taken.counts.items())
    ]
    if not rows and not taken.pulses:
        return
    with transaction.atomic(using=using):
        for span in KEPT:
            spanned = [{"span": span, **row} for row in rows]
            add_up(Figure, spanned, using=using, key=KEY, number="count", since=("since", span))
        if taken.pulses:
            Pulse.objects.using(using).bulk_create(
                [_pulse(name, heard) for name, heard in sorted(taken.pulses.items())],
                update_conflicts=True,
                unique_fields=["name"],
                update_fields=["seen_at", "fault", "error", "failing_for"],
            )


def _pulse(name: str, heard: tuple[timedelta, Exception] | None) -> Pulse:
    if heard is None:
        return Pulse(name=name[:255], seen_at=Now())
    away, error = heard
    return Pulse(
        name=name[:255],
        seen_at=Now(),
        fault=_fault_of(error),
        error=str(error).strip()[:LONGEST_ERROR],
        failing_for=away,
    )


def _fault_of(error: Exception) -> Pulse.Fault:
    if isinstance(error, BrokerBlocked):
        return Pulse.Fault.BLOCKED
    database = isinstance(error.__cause__, DatabaseError | InterfaceError)
    broker = isinstance(error, BrokerUnavailable) and not database
    return Pulse.Fault.BROKER if broker else Pulse.Fault.DATABASE
