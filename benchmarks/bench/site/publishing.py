"""What does one call cost the caller? ``python -m benchmarks.bench.site.publishing SYSTEM``.

Prints the time of each call in microseconds, as a JSON list. Where a system writes to PostgreSQL, a
hundred calls share a transaction, and only the calls are timed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator

from . import setup
from .payload import payload

#: Calls in one transaction, transactions, and those at first that do not count.
TOGETHER, TIMES, WARM = 100, 30, 5

#: Calls that are timed, and calls that are made.
CALLS, MADE = TOGETHER * (TIMES - WARM), TOGETHER * TIMES


def ours() -> Iterator[float]:
    """Time ``publish()``."""
    from taskrouting import publish

    return _in_transactions(lambda data: publish("bench.row", data))


def ours_many() -> Iterator[float]:
    """Time ``publish_many()`` of a hundred, per event."""
    from django.db import transaction

    from taskrouting import publish_many

    for _ in range(TIMES):
        events = [("bench.row", payload(number)) for number in range(TOGETHER)]
        with transaction.atomic():
            began = time.perf_counter()
            publish_many(events)
            yield (time.perf_counter() - began) / TOGETHER


def celery() -> Iterator[float]:
    """Time ``delay()``."""
    from .with_celery import work

    for number in range(MADE):
        data = payload(number)
        began = time.perf_counter()
        work.delay(data)
        yield time.perf_counter() - began


def domain_events() -> Iterator[float]:
    """Time ``fire()``."""
    from django_domain_events import fire

    from .events import Uploaded

    return _in_transactions(lambda data: fire(Uploaded(**data)))


def oban() -> Iterator[float]:
    """Time ``enqueue()`` on a connection with an open transaction."""
    return iter(asyncio.run(_oban()))


async def _oban() -> list[float]:
    from oban import Oban

    from .with_oban import Work

    times = []
    pool = await Oban.create_pool(os.environ["BENCH_DATABASE_URL"])
    client = Oban(pool=pool)
    async with pool.connection() as connection:
        for _ in range(TIMES):
            async with connection.transaction():
                for number in range(TOGETHER):
                    data = payload(number)
                    began = time.perf_counter()
                    await client.enqueue(Work.new(data), conn=connection)
                    times.append(time.perf_counter() - began)
    await pool.close()
    return times


def _in_transactions(call: Callable[[dict[str, object]], object]) -> Iterator[float]:
    from django.db import transaction

    for _ in range(TIMES):
        with transaction.atomic():
            for number in range(TOGETHER):
                data = payload(number)
                began = time.perf_counter()
                call(data)
                yield time.perf_counter() - began


SYSTEMS: dict[str, Callable[[], Iterator[float]]] = {
    "ours": ours, "ours_many": ours_many, "celery": celery, "domain_events": domain_events,
    "oban": oban,
}  # fmt: skip


def main() -> None:
    """Time the calls."""
    setup.ready()
    times = [1e6 * each for each in SYSTEMS[sys.argv[1]]()]
    print(json.dumps(times[len(times) * WARM // TIMES :]))


if __name__ == "__main__":
    main()
