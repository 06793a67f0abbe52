"""Which handlers run in a run of chaos? One of each kind that can go wrong in its own way."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence

from django.conf import settings
from django.dispatch import receiver

from taskrouting import Batch, Event, Retry, Snooze, publish, signals, subscribe

from . import journal
from .models import Effect, Fact

#: Soon, and as often as it takes: only poison may die in a run.
AGAIN = Retry(max_attempts=10_000, base=0.05, ceiling=1)

WORK, EXTERNAL, BULK = "work_queue", "external_queue", "bulk_queue"

#: Seconds that a database handler lingers in its transaction.
LINGERING = 0.3


def write(event: Event, subscription: str) -> None:
    """Leave an effect in the database."""
    Effect.objects.create(event_id=event.id, subscription=subscription)


@subscribe("work.#", queue=WORK, name="stamp", retry=AGAIN)
def stamp(event: Event) -> None:
    """Write a row for every event."""
    write(event, "stamp")


@subscribe("work.flaky", queue=WORK, name="stumble", retry=AGAIN)
def stumble(event: Event) -> None:
    """Write a row, and fail at every third try."""
    write(event, "stumble")
    if random.random() < 1 / 3:
        raise RuntimeError("stumbled")


@subscribe("work.snoozing", queue=WORK, name="snooze", retry=AGAIN)
def snooze(event: Event) -> None:
    """Write a row, and every third time prefer to come back later."""
    write(event, "snooze")
    if random.random() < 1 / 3:
        raise Snooze(0.5)


@subscribe("work.lingering", queue=WORK, name="linger", retry=AGAIN)
def linger(event: Event) -> None:
    """Write a row and take a while before it commits."""
    write(event, "linger")
    time.sleep(LINGERING)


@subscribe("work.parent", queue=WORK, name="beget", retry=AGAIN)
def beget(event: Event) -> None:
    """Publish a further event in the transaction that handles this one."""
    write(event, "beget")
    child = publish("work.child")
    Fact.objects.create(event_id=child.id, routing_key=child.type)


@subscribe("work.poison", queue=WORK, name="poison", retry=AGAIN)
def poison(event: Event) -> None:
    """Kill the process that handles it."""
    journal.write(settings.CHAOS_FOLDER, journal.DEEDS, deed="poison", pids=[os.getpid()])
    os.kill(os.getpid(), signal.SIGKILL)


@subscribe("work.external", queue=EXTERNAL, name="append", effects="external", retry=AGAIN)
def append(event: Event) -> None:
    """Leave an effect outside the database, under its idempotency key."""
    note(event, "append")


@subscribe("work.slow", queue=EXTERNAL, name="outlast", effects="external", retry=AGAIN)
def outlast(event: Event) -> None:
    """Take longer than the lease, which the heartbeat renews."""
    note(event, "outlast")
    time.sleep(1.5 * settings.TASKROUTING["LEASE"])


# A process holds two batches. When it dies, each event of them runs alone the next time: larger
# ones would make the run one of suspects, and of little else.
@subscribe("bulk.#", queue=BULK, name="tally", retry=AGAIN, batch=Batch(size=50, wait=0.05))
def tally(events: Sequence[Event]) -> None:
    """Write the rows of a whole batch."""
    rows = [Effect(event_id=event.id, subscription="tally") for event in events]
    Effect.objects.bulk_create(rows)


def note(event: Event, subscription: str) -> None:
    """Append a line to the file of external effects."""
    journal.write(
        settings.CHAOS_FOLDER,
        journal.EFFECTS,
        event_id=event.id,
        subscription=subscription,
        key=event.idempotency_key(subscription),
    )


@receiver(signals.worker_stopped)
def notice_haste(*, drained: bool, **more: object) -> None:
    """Note who had to stop before its handlers: the grace is short for a busy machine."""
    if not drained:
        deed = "worker stopped past its grace"
        journal.write(settings.CHAOS_FOLDER, journal.DEEDS, deed=deed, pids=[os.getpid()])


@receiver(signals.delivery_finished)
def notice(*, event: Event, subscription: str, outcome: str, **more: object) -> None:
    """Note what the ledger has recorded, and the copies that it has recognised."""
    names = {"handled": journal.HANDLED, "duplicate": journal.DUPLICATES}
    if outcome in names:
        journal.write(
            settings.CHAOS_FOLDER, names[outcome], event_id=event.id, subscription=subscription
        )
