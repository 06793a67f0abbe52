"""Is each part of the installation at work? Broker, relay, workers and audit writer, with a reason.

Nothing is asked but the database: a page must not wait for a broker. How the broker is, the relay
says, which has to do with it all the time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from taskrouting import conf
from taskrouting.health import OutboxHealth, WorkerHealth
from taskrouting.instruments.figures import PAUSE
from taskrouting.instruments.tally import relay_name
from taskrouting.models import Pulse
from taskrouting.routing import topology
from taskrouting.transport import broker

#: For how long a process that has fallen silent is missed, where others consume what it did.
MISSED = timedelta(minutes=10)

#: A relay is heard every few seconds; longer than this is late, and much longer is away.
LATE, AWAY = timedelta(seconds=3 * PAUSE + 5), timedelta(minutes=1)

#: An event that is due waits no longer than this where all is well; nor is one recorded later.
SLOW = timedelta(seconds=60)

#: How late an entry of the audit log was says something of the writer for no longer than this.
RECENT = timedelta(minutes=5)


class State(StrEnum):
    """How a part is, from good to bad."""

    OFF = "off"
    OK = "ok"
    LATE = "late"
    AWAY = "away"


#: The worst of several is what they are together.
WORST = (State.AWAY, State.LATE, State.OK, State.OFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the installation."""

    name: str
    state: State
    reason: str

    #: How long ago it was heard; ``None``: never, or there is nothing to hear.
    age: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was last heard of somebody."""

    name: str
    age: timedelta
    fault: str
    error: str
    failing_for: timedelta | None


def heard() -> dict[str, Heard]:
    """Return what was last heard of every relay, and of whoever met a fault, by name."""
    rows = Pulse.objects.using(conf.current().database).annotate(now=Now())
    return {
        row.name: Heard(
            name=row.name,
            age=row.now - row.seen_at,
            fault=row.fault,
            error=row.error,
            failing_for=row.failing_for,
        )
        for row in rows
    }


def broker_part(pulses: Iterable[Heard]) -> Part:
    """Say how the broker is, by what they say who have to do with it."""
    can = broker.capabilities(conf.current().broker_url)
    if can.embedded:
        return Part(name="broker", state=State.OK, reason=_("django://: it is the database."))
    told = sorted((each for each in pulses if each.age <= AWAY), key=lambda each: each.age)
    for each in told:
        if each.fault == Pulse.Fault.BROKER:
            return Part(name="broker", state=State.AWAY, age=each.age, reason=_failing(each))
        if each.fault == Pulse.Fault.BLOCKED:
            return Part(name="broker", state=State.LATE, age=each.age, reason=_failing(each))
    asked = [each for each in told if not each.fault and each.name in _relay_names()]
    if asked:
        reason = _("%(broker)s: the relay reaches it.") % {"broker": can.name}
        return Part(name="broker", state=State.OK, age=asked[0].age, reason=reason)
    reason = _("%(broker)s: nobody has told, for no relay is heard.") % {"broker": can.name}
    return Part(name="broker", state=State.LATE, reason=reason)


def relay_part(pulses: dict[str, Heard], outboxes: Sequence[OutboxHealth]) -> Part:
    """Say how the relays are; that of the worst outbox speaks for all."""
    each = [_relay_of(outbox, pulses.get(relay_name(outbox.database))) for outbox in outboxes]
    return min(each, key=lambda part: WORST.index(part.state))


def workers_part(
    workers: Sequence[WorkerHealth], pulses: Iterable[Heard], resting: Collection[str]
) -> Part:
    """Say how the workers are, and whether every queue has one and none rests."""
    alive = [each for each in workers if each.alive]
    age = min((each.silent_for for each in workers), default=None)
    if not alive:
        return Part(name="workers", state=State.AWAY, age=age, reason=_nobody(age))
    trouble = [each for each in pulses if each.fault and each.age <= AWAY and _is_worker(each)]
    unserved = unserved_queues(workers)
    silent = sum(not each.alive and each.silent_for <= MISSED for each in workers)
    if trouble:
        reason = f"{trouble[0].name}: {_in_short(trouble[0])}"
    elif unserved:
        reason = _("No worker consumes %(queues)s.") % {"queues": ", ".join(unserved)}
    elif resting:
        reason = _resting(resting)
    elif silent:
        reason = ngettext(
            "%(count)d process is silent.", "%(count)d processes are silent.", silent
        ) % {"count": silent}
    else:
        threads = sum(each.threads for each in alive)
        reason = ngettext(
            "%(count)d process with %(threads)d threads.",
            "%(count)d processes with %(threads)d threads.",
            len(alive),
        ) % {"count": len(alive), "threads": threads}
        return Part(name="workers", state=State.OK, age=age, reason=reason)
    return Part(name="workers", state=State.LATE, age=age, reason=reason)


def audit_part(
    workers: Sequence[WorkerHealth],
    last: timedelta | None,
    lag: timedelta | None,
    resting: Collection[str],
) -> Part:
    """Say how the audit writer is: how long ago, and how late, it wrote its newest entry."""
    queue = conf.current().audit.queue
    if queue is None:
        reason = _("Switched off: AUDIT['queue'] is None.")
        return Part(name="audit", state=State.OFF, reason=reason)
    if not any(each.alive and queue in each.queues for each in workers):
        reason = _("No worker consumes %(queues)s.") % {"queues": queue}
        return Part(name="audit", state=State.AWAY, age=last, reason=reason)
    if queue in resting:
        return Part(name="audit", state=State.LATE, age=last, reason=_resting([queue]))
    if last is not None and lag is not None and last < RECENT and lag > SLOW:
        reason = _("What it records now has waited in %(queue)s.") % {"queue": queue}
        return Part(name="audit", state=State.LATE, age=last, reason=reason)
    reason = _("Nothing was recorded yet.") if last is None else _("Records what comes.")
    return Part(name="audit", state=State.OK, age=last, reason=reason)


def unserved_queues(workers: Sequence[WorkerHealth]) -> list[str]:
    """Return the queues that no living worker consumes."""
    served = {queue for each in workers if each.alive for queue in each.queues}
    return [each.name for each in topology.current().queues if each.name not in served]


def _relay_of(outbox: OutboxHealth, last: Heard | None) -> Part:
    state, reason = _relay_state(outbox, last)
    return Part(name="relay", state=state, age=last.age if last else None, reason=reason)


def _relay_state(outbox: OutboxHealth, last: Heard | None) -> tuple[State, str]:
    where = {"database": outbox.database}
    if outbox.error:
        return State.AWAY, _("The outbox of %(database)s cannot be read.") % where
    if last is None or last.age > AWAY:
        if _is_needless(outbox):
            return State.OFF, _("django:// needs none.")
        return State.AWAY, _("None empties %(database)s; run_router_relay does.") % where
    if last.fault:
        return State.AWAY, _in_short(last)
    if last.age > LATE:
        return State.LATE, _("The relay of %(database)s has gone quiet.") % where
    if outbox.oldest is not None and outbox.oldest > SLOW:
        return State.LATE, _("The outbox of %(database)s does not empty.") % where
    return State.OK, _("Empties the outbox.")


def _is_needless(outbox: OutboxHealth) -> bool:
    """Say whether there is nothing to relay: publishing goes straight into the queues' rows."""
    settings = conf.current()
    embedded = broker.capabilities(settings.broker_url).embedded
    empty = outbox.waiting is not None and not outbox.waiting.number
    return embedded and outbox.database == settings.database and empty


def _relay_names() -> set[str]:
    settings = conf.current()
    return {relay_name(alias) for alias in (settings.database, *settings.outbox_databases)}


def _is_worker(each: Heard) -> bool:
    return each.name.startswith("worker ")


def _resting(queues: Iterable[str]) -> str:
    return _("An operator lets %(queues)s rest.") % {"queues": ", ".join(queues)}


def _failing(each: Heard) -> str:
    seconds = round((each.failing_for or timedelta(0)).total_seconds())
    return _("For %(seconds)d s: %(error)s") % {"seconds": seconds, "error": each.error}


def _in_short(each: Heard) -> str:
    """Say what is wrong with somebody; what is wrong with the broker is said there."""
    if each.fault == Pulse.Fault.BROKER:
        return _("does not reach the broker")
    if each.fault == Pulse.Fault.BLOCKED:
        return _("waits for the broker to take messages")
    return _failing(each)


def _nobody(age: timedelta | None) -> str:
    if age is None:
        return _("None runs; start one with run_router_worker.")
    return _("None has been heard for a while; start one with run_router_worker.")
