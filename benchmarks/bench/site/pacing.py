"""Publish at a steady pace: ``python -m benchmarks.bench.site.pacing SYSTEM SECONDS``.

Each time a transaction writes one row, and what is published belongs to it: by us and by
Procrastinate inside it, by Celery when it has committed. Prints when each transaction was about to
commit, as a JSON object by the payload's number.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from . import setup
from .payload import payload

PER_SECOND = 100


def ours() -> Callable[[dict[str, Any]], object]:
    """Publish in the transaction."""
    from taskrouting import publish

    return lambda data: publish("bench.row", data)


def celery() -> Callable[[dict[str, Any]], object]:
    """Send when the transaction has committed."""
    from django.db import transaction

    from .with_celery import work

    return lambda data: transaction.on_commit(lambda: work.delay(data))


def procrastinate() -> Callable[[dict[str, Any]], object]:
    """Defer in the transaction."""
    from .tasks import defer_work

    return lambda data: defer_work.defer(payload=data)


SYSTEMS = {"ours": ours, "celery": celery, "procrastinate": procrastinate}


def main() -> None:
    """Publish, and print when."""
    setup.ready()
    send, count = SYSTEMS[sys.argv[1]](), PER_SECOND * int(sys.argv[2])
    committed: dict[int, float] = {}
    began = time.monotonic()
    for number in range(1, count + 1):
        time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
        data = payload(number)
        committed[data["number"]] = _transaction(send, data)
    print(json.dumps(committed))


def _transaction(send: Callable[[dict[str, Any]], object], data: dict[str, Any]) -> float:
    from django.db import transaction

    from .models import Row

    with transaction.atomic():
        Row.objects.create(key="bench.row", payload=data)
        send(data)
        return time.clock_gettime(time.CLOCK_MONOTONIC)


if __name__ == "__main__":
    main()
