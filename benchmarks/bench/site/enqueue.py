"""Send through a system's own door: ``python -m benchmarks.bench.site.enqueue SYSTEM COUNT``.

In one transaction, and with the system's own call for many at once where it has one.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

from . import setup
from .payload import payload


def ours(count: int) -> None:
    """Publish into the outbox, or into the queues of the embedded broker."""
    from taskrouting import publish_many

    numbers = range(count)
    for start in range(0, count, 1000):
        publish_many([("bench.row", payload(n)) for n in numbers[start : start + 1000]])


def celery(count: int) -> None:
    """Call the task's ``delay``."""
    from .with_celery import work

    for number in range(count):
        work.delay(payload(number))


def dramatiq(count: int) -> None:
    """Call the actor's ``send``."""
    from .with_dramatiq import work

    for number in range(count):
        work.send(payload(number))


def faststream(count: int) -> None:
    """Publish to the subscriber's queue."""
    from .with_faststream import QUEUE, broker

    async def send() -> None:
        async with broker:
            await broker.declare_queue(QUEUE)
            for number in range(count):
                await broker.publish(payload(number), QUEUE, persist=True)

    asyncio.run(send())


def procrastinate(count: int) -> None:
    """Defer in batches."""
    from .tasks import defer_work

    for start in range(0, count, 1000):
        batch = [{"payload": payload(n)} for n in range(start, min(start + 1000, count))]
        defer_work.batch_defer(*batch)


def django_tasks(count: int) -> None:
    """Enqueue one by one: Django's tasks framework has no call for many."""
    from .tasks import work

    for number in range(count):
        work.enqueue(payload(number))


def ox(count: int) -> None:
    """Enqueue many at once."""
    from django_ox.bulk import enqueue_many

    from .tasks import work

    enqueue_many(work, [((payload(number),), {}) for number in range(count)])


def domain_events(count: int) -> None:
    """Fire one by one."""
    from django_domain_events import fire

    from .events import Uploaded

    for number in range(count):
        fire(Uploaded(**payload(number)))


def oban(count: int) -> None:
    """Enqueue many at once."""
    from oban import Oban

    from .with_oban import Work

    async def send() -> None:
        pool = await Oban.create_pool(os.environ["BENCH_DATABASE_URL"])
        client = Oban(pool=pool)
        for start in range(0, count, 1000):
            numbers = range(start, min(start + 1000, count))
            await client.enqueue_many(*[Work.new(payload(number)) for number in numbers])
        await pool.close()

    asyncio.run(send())


SYSTEMS: dict[str, Callable[[int], None]] = {
    "ours": ours, "celery": celery, "dramatiq": dramatiq, "faststream": faststream,
    "procrastinate": procrastinate, "django-tasks-db": django_tasks, "threadmill": django_tasks,
    "django-ox": ox, "django-domain-events": domain_events, "oban": oban,
}  # fmt: skip


def main() -> None:
    """Send."""
    setup.ready()
    from django.db import transaction

    with transaction.atomic():
        SYSTEMS[sys.argv[1]](int(sys.argv[2]))


if __name__ == "__main__":
    main()
