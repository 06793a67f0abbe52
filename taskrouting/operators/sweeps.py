"""How does an operator redrive, or discard, all that match? In the background, in small steps.

A sweep is a row: what is chosen, up to which number, how fast, and how far it is. Whoever has a
relay takes the steps (``management/sweeping.py``). A step redrives some letters and writes how far
it came in one transaction, so a process that dies in it leaves nothing done twice, and nothing
half. The row is locked meanwhile, so no two processes take the same step.

That it began, ended or was stopped is told once each; what was done with each letter is told as if
it had been ticked by hand, in one conversation.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.models import F, Max, QuerySet
from django.db.models.functions import Now

from taskrouting import conf, context
from taskrouting.consuming.turns import in_turn
from taskrouting.dead_letters.models import DeadLetter, Sweep
from taskrouting.exceptions import TaskroutingError
from taskrouting.json_text import storable

from .dead_letters import discard, redrive
from .telling import SWEEP_BEGUN, SWEEP_FAILED, SWEEP_FINISHED, SWEEP_STOPPED, acting, tell

logger = logging.getLogger("taskrouting.operators")

#: Letters that one transaction closes: on SQLite it keeps everybody else from writing.
STEP = 25

#: Counting ends here.
MOST = 100_000

#: The most letters in a second that may be asked for.
FASTEST = 1000

#: When a step that the database has ended is tried again, and how much of a trouble is kept.
AGAIN, LONGEST = timedelta(minutes=1), 1000

#: By what one may choose, as Django writes it.
CHOOSABLE = frozenset({
    "reason", "queue", "subscription", "cause", "event_id", "event_id__in", "routing_key",
    "routing_key__regex", "created_at__gte", "created_at__lt",
})  # fmt: skip


def matching(chosen: Mapping[str, Any], upto: int | None = None) -> QuerySet[DeadLetter]:
    """Return the open dead letters that are ``chosen``, with numbers ``upto`` that one.

    Raises ValueError for what nobody may choose by.
    """
    if unknown := sorted(set(chosen) - CHOOSABLE):
        raise ValueError(f"Dead letters cannot be chosen by {', '.join(unknown)}.")
    letters = DeadLetter.objects.using(_database()).filter(resolved_at=None, **chosen)
    return letters if upto is None else letters.filter(pk__lte=upto)


def highest() -> int:
    """Return the highest number of any dead letter now: what comes later is higher."""
    letters = DeadLetter.objects.using(_database())
    return letters.aggregate(highest=Max("pk"))["highest"] or 0


def counted(chosen: Mapping[str, Any], upto: int) -> tuple[int, bool]:
    """Count what matches, no further than ``MOST``; the second says whether there are more."""
    number = matching(chosen, upto).order_by()[: MOST + 1].count()
    return min(number, MOST), number > MOST


def begin(
    deed: str,
    chosen: Mapping[str, Any],
    *,
    upto: int,
    rate: int,
    note: str = "",
    actor: str | None = None,
) -> Sweep:
    """Begin to redrive or discard what is ``chosen``, no more than ``rate`` in a second.

    ``note`` is kept with each letter. Raises ValueError for a rate that is none, for a discard
    without a reason, and as ``matching`` does.
    """
    if not 0 < rate <= FASTEST:
        raise ValueError(f"{rate} is no rate; give 1 to {FASTEST} letters in a second.")
    if deed == Sweep.Deed.DISCARD and not note.strip():
        raise ValueError("Discarding dead letters needs a reason; give a sentence.")
    matched, more = counted(chosen, upto)
    with acting(actor), transaction.atomic(using=_database()):
        sweep: Sweep = _sweeps().create(
            deed=deed,
            chosen=dict(chosen),
            upto=upto,
            matched=matched,
            more=more,
            rate=rate,
            note=note,
            actor=context.current().actor or "",
        )
        _tell(SWEEP_BEGUN, sweep)
    return sweep


def stop(sweep: Sweep, *, actor: str | None = None) -> bool:
    """Stop a sweep after the step that is being taken; return False when it has ended before."""
    running = _running().filter(pk=sweep.pk)
    with acting(actor), transaction.atomic(using=_database()):
        if not running.update(state=Sweep.State.STOPPED, finished_at=Now()):
            return False
        sweep.refresh_from_db(using=_database())
        _tell(SWEEP_STOPPED, sweep)
    return True


def until_due() -> float | None:
    """Return in how many seconds a step is due; ``None``: nothing is swept."""
    first = _running().annotate(now=Now()).order_by("due_at").values_list("due_at", "now").first()
    return (first[0] - first[1]).total_seconds() if first else None


def step() -> bool:
    """Take one step of the sweep that is longest due; return whether there was one.

    Raises OperationalError and InterfaceError when the database is away. A step that the database
    ends, since it takes too long say, is tried again after others had their turn. Anything else
    that goes wrong ends the sweep as failed, and its own step was not taken.
    """
    taken: list[Sweep] = []
    try:
        with in_turn(), transaction.atomic(using=_database()):
            taken += _claimed()
            for sweep in taken:
                _advance(sweep)
    except (OperationalError, InterfaceError) as error:
        if not taken:
            raise
        _put_off(taken[0], error)
    except Exception as error:
        logger.exception("Sweep %s failed.", [sweep.pk for sweep in taken])
        if not taken:
            raise
        _fail(taken[0], error)
    return bool(taken)


def correlation_of(sweep: int) -> str:
    """Return the conversation in which the audit log has everything that a sweep did."""
    return f"{Sweep._meta.label_lower}/{sweep}"


def _claimed() -> list[Sweep]:
    """Lock the sweep that is due, in the open transaction; one that somebody has is skipped."""
    due = _running().filter(due_at__lte=Now())
    if not connections[_database()].features.has_select_for_update:
        due.update(due_at=F("due_at"))  # takes SQLite's write lock before reading
    locked = due.select_for_update(skip_locked=True).annotate(now=Now())
    return list(locked.order_by("due_at")[:1])


def _advance(sweep: Any) -> None:
    """Deal with the next letters, and write how far it is; at the end, that it is."""
    size = max(1, min(sweep.rate, STEP))
    rest = matching(sweep.chosen, sweep.upto).filter(pk__gt=sweep.position)
    letters = list(rest.order_by("pk")[:size])
    with _as_who_began(sweep):
        for letter in letters:
            _deal_with(letter, sweep)
            sweep.position = letter.pk
        sweep.due_at = sweep.now + timedelta(seconds=max(len(letters), 1) / sweep.rate)
        if len(letters) < size:
            sweep.state, sweep.finished_at = Sweep.State.FINISHED, sweep.now
            _tell(SWEEP_FINISHED, sweep)
    sweep.save(using=_database(), update_fields=PROGRESS)


#: What a step changes.
PROGRESS = ("position", "succeeded", "refused", "trouble", "due_at", "state", "finished_at")


def _deal_with(letter: DeadLetter, sweep: Sweep) -> None:
    """Redrive or discard one letter. One that is refused stops nobody else."""
    try:
        if sweep.deed == Sweep.Deed.DISCARD:
            sweep.succeeded += discard(letter, sweep.note)
        else:
            sweep.succeeded += redrive(letter, note=sweep.note)
    except TaskroutingError as error:
        sweep.refused += 1
        sweep.trouble = storable(str(error))[:LONGEST]


def _put_off(sweep: Sweep, error: Exception) -> None:
    """Let others have their turn first. Raises OperationalError when the database is away."""
    logger.warning("Sweep %s will be tried again in %s: %s", sweep.pk, AGAIN, error)
    _running().filter(pk=sweep.pk).update(due_at=Now() + AGAIN, trouble=_told_of(error))


def _told_of(error: Exception) -> str:
    """Say what was wrong, in text that every database takes."""
    return storable(f"{type(error).__name__}: {error}")[:LONGEST]


def _fail(sweep: Sweep, error: Exception) -> None:
    """End a sweep that cannot go on, and say why."""
    text = _told_of(error)
    with transaction.atomic(using=_database()):
        running = _running().filter(pk=sweep.pk)
        if running.update(state=Sweep.State.FAILED, finished_at=Now(), trouble=text):
            sweep.refresh_from_db(using=_database())
            with _as_who_began(sweep):
                _tell(SWEEP_FAILED, sweep)


def _as_who_began(sweep: Sweep) -> ExitStack:
    """Act for whoever began the sweep, in the sweep's conversation."""
    stack = ExitStack()
    changes = {"correlation_id": correlation_of(sweep.pk), "causation_id": None}
    stack.enter_context(context.acting(actor=sweep.actor or None, **changes))
    return stack


def _tell(routing_key: str, sweep: Sweep) -> None:
    told = {
        "sweep": sweep.pk,
        "deed": sweep.deed,
        "chosen": sweep.chosen,
        "upto": sweep.upto,
        "matched": sweep.matched,
        "more": sweep.more,
        "rate": sweep.rate,
        "note": sweep.note,
        "done": sweep.succeeded,
        "refused": sweep.refused,
        "trouble": sweep.trouble,
    }
    with context.acting(correlation_id=correlation_of(sweep.pk)):
        tell(routing_key, told, subject=correlation_of(sweep.pk))


def _running() -> Any:
    return _sweeps().filter(state=Sweep.State.RUNNING)


def _sweeps() -> Any:
    return Sweep.objects.using(_database())


def _database() -> str:
    return conf.current().database
