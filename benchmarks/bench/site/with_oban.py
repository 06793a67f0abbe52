"""Oban's worker. It is asynchronous: Django's ORM then runs in one thread of its process."""

from __future__ import annotations

import os
from typing import Any

from oban import worker

from . import setup

setup.ready()

from . import chores  # noqa: E402  # needs Django

creates = os.environ["BENCH_JOB"] == "handler"
job = chores.current()


@worker(queue="default")
class Work:
    """The job."""

    async def process(self, job_: Any) -> None:
        """Do it."""
        if not creates:
            job(job_.args)
            return
        from .models import Row

        await Row.objects.acreate(key="bench.row", payload=job_.args, headers={"source": "bench"})
