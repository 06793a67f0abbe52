"""Kombu's sqlalchemy transport on SQLite: ``… .site.with_sqlite consume|publish COUNT``.

SQLite is set as we recommend it for our own tables, so that both pay the same for a commit.
``publish`` prints when it began, by the clock that all processes of a machine share.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from kombu import Connection
from kombu.transport.sqlalchemy import Transport
from sqlalchemy import event
from sqlalchemy.engine import Engine

from .payload import payload
from .tally import Tally

QUEUE = "bench_queue"


@event.listens_for(Engine, "connect")
def _tune(connection: Any, record: Any) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 10000"):
        connection.execute(f"PRAGMA {pragma}")


def consume(connection: Connection, count: int) -> None:
    """Take and acknowledge messages, and count them."""
    tally = Tally(os.environ["BENCH_TALLY"])
    queue = connection.SimpleQueue(QUEUE)
    while True:
        queue.get(block=True).ack()
        tally.add()


def publish(connection: Connection, count: int) -> None:
    """Publish one message after the other, each in a transaction of its own."""
    queue = connection.SimpleQueue(QUEUE)
    print(time.clock_gettime(time.CLOCK_MONOTONIC))
    for number in range(count):
        queue.put(payload(number))


def publish_ours(count: int) -> None:
    """The same with us."""
    from . import setup

    setup.ready()
    from taskrouting import publish

    publish("bench.row", payload())  # the first one imports and connects
    print(time.clock_gettime(time.CLOCK_MONOTONIC))
    for number in range(1, count):
        publish("bench.row", payload(number))


def main() -> None:
    """Consume or publish."""
    count = int(sys.argv[2])
    if sys.argv[1] == "ours":
        publish_ours(count)
        return
    Transport.polling_interval = 0.01  # seconds; it is one by default
    with Connection(os.environ["BENCH_BROKER_URL"]) as connection:
        {"consume": consume, "publish": publish}[sys.argv[1]](connection, count)


if __name__ == "__main__":
    main()
