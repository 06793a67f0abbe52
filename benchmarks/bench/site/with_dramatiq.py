"""Dramatiq's broker and actor."""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from . import setup

setup.ready()

from . import chores  # noqa: E402  # needs Django

dramatiq.set_broker(RabbitmqBroker(url=os.environ["BENCH_BROKER_URL"]))
job = chores.current()


@dramatiq.actor(queue_name="dramatiq_queue")
def work(payload: dict[str, Any]) -> None:
    """Do the job."""
    job(payload)
