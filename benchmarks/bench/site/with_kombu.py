"""A consumer as thin as Kombu allows: it acknowledges, and does nothing else but count.

``python -m benchmarks.bench.site.with_kombu QUEUE``
"""

from __future__ import annotations

import os
import sys
from typing import Any

from kombu import Connection, Consumer, Queue

from .tally import Tally

#: As the audit log's queue has it: twice its batch.
PREFETCH = 1000


def main() -> None:
    """Consume until killed."""
    tally = Tally(os.environ["BENCH_TALLY"])

    def take(body: Any, message: Any) -> None:
        message.ack()
        tally.add()

    with Connection(os.environ["BENCH_BROKER_URL"]) as connection:
        channel = connection.channel()
        queue = Queue(sys.argv[1], no_declare=True)
        consumer = Consumer(channel, [queue], accept=None, auto_declare=False,
                            prefetch_count=PREFETCH)  # fmt: skip
        consumer.register_callback(take)
        consumer.on_message = lambda message: take(None, message)
        with consumer:
            while True:
                connection.drain_events()


if __name__ == "__main__":
    main()
