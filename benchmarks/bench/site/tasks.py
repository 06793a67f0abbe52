"""The tasks of Procrastinate and of the backends of Django's own tasks framework."""

from __future__ import annotations

import os
from typing import Any

from . import chores

job = chores.current()

if "procrastinate.contrib.django" in os.environ.get("BENCH_APPS", ""):
    from procrastinate.contrib.django import app

    @app.task(name="bench.job", queue="default")
    def defer_work(payload: dict[str, Any]) -> None:
        """Do the job."""
        job(payload)


if os.environ.get("BENCH_TASKS"):
    from django.tasks import task

    @task()
    def work(payload: dict[str, Any]) -> None:
        """Do the job."""
        job(payload)
