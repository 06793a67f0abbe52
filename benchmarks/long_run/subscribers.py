"""Which handlers does a long run go through? One of each kind, and each fails now and then."""

from __future__ import annotations

import random
from asyncio import sleep

from django.contrib.auth.models import Group

from taskrouting import Batch, Event, Retry, subscribe

SOON = Retry(base=0.1, ceiling=1)

#: Of a hundred attempts so many fail.
FAILING = 1


@subscribe("run.write", queue="write_queue", name="write", retry=SOON, timeout=60)
def write(event: Event) -> str:
    """Write a row in the transaction of the delivery."""
    Group.objects.create(name=event.id)
    fail_sometimes()
    return event.id


@subscribe("run.call", queue="call_queue", name="call", retry=SOON, effects="external")
def call(event: Event) -> None:
    """Do something under a lease."""
    fail_sometimes()


@subscribe("run.wait", queue="wait_queue", name="wait", retry=SOON)
async def wait(event: Event) -> None:
    """Run in an event loop."""
    await sleep(0)
    fail_sometimes()


@subscribe("run.bulk", queue="bulk_queue", name="bulk", batch=Batch(size=100))
def write_all(events: list[Event]) -> None:
    """Write many rows at once."""
    Group.objects.bulk_create([Group(name=event.id) for event in events])


def fail_sometimes() -> None:
    """Raise in one of a hundred cases."""
    if random.randrange(100) < FAILING:
        raise ValueError("now and then something goes wrong")
