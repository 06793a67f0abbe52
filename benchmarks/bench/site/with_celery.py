"""Celery's app and its tasks. The broker's queue is a classic one, as Celery declares it."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from . import setup

setup.ready()

from . import chores  # noqa: E402  # needs Django

app = Celery("bench", broker=os.environ["BENCH_BROKER_URL"])
app.conf.update(
    task_default_queue="celery_queue",
    task_ignore_result=True,
    task_acks_late=os.environ.get("BENCH_ACKS_LATE") == "1",
    task_store_errors_even_if_ignored=False,
    worker_prefetch_multiplier=32,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_pool_limit=10,
)
app.config_from_object("django.conf:settings", namespace="CELERY")
job = chores.current()


@app.task(name="bench.job")
def work(payload: dict[str, Any]) -> None:
    """Do the job."""
    job(payload)
