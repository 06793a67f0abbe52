"""What do we subscribe? The job on a queue of its own, unless the audit log is all."""

from __future__ import annotations

import os

from taskrouting import Event, subscribe

from . import chores

if os.environ["BENCH_JOB"] != "audit":
    job = chores.current()

    @subscribe("bench.#", queue="bench_queue", name="bench", effects="database")
    def handle(event: Event) -> None:
        """Do the job, in the transaction of the delivery."""
        job(event.data)
