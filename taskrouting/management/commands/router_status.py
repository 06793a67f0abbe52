"""Say how the installation is doing."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from taskrouting import health
from taskrouting.health import BrokerHealth, Count, Health, OutboxHealth, QueueHealth, WorkerHealth
from taskrouting.management.base import RouterCommand


class Command(RouterCommand):
    """``manage.py router_status``."""

    help = "Say whether the broker answers, what waits, what died and which workers live."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--json", action="store_true", help="For programs; durations are in seconds."
        )

    def handle(self, *, json: bool, **options: Any) -> None:
        """Look and print; whatever there is to see, the answer is a success."""
        found = health.look()
        self.stdout.write(_as_json(found) if json else "\n".join(_lines(found)))


def _as_json(found: Health) -> str:
    return json.dumps(health.as_json(found), indent=2, ensure_ascii=False)


def _lines(found: Health) -> Iterator[str]:
    yield f"Broker       {found.broker.kind}: {_broker(found.broker)}"
    yield from (f"Outbox       {_outbox(each)}" for each in found.outboxes)
    yield from (f"Queue        {_queue(each)}" for each in found.queues)
    yield f"Deliveries   {_counts(found.deliveries)}"
    yield f"Dead letters {_counts(found.dead_letters) or 'none is open'}"
    yield from (f"Worker       {_worker(each)}" for each in found.workers)
    if not any(worker.alive for worker in found.workers):
        yield "Worker       none is alive; start one with run_router_worker"


def _broker(broker: BrokerHealth) -> str:
    if not broker.reachable:
        return f"NOT reachable: {broker.error}"
    if not broker.takes_messages:
        return "reachable, takes NO messages: it is short of memory or disk space"
    return "reachable"


def _outbox(outbox: OutboxHealth) -> str:
    if outbox.error:
        return f"{outbox.database}: NOT readable: {outbox.error}"
    oldest = f", the oldest for {_length(outbox.oldest)}" if outbox.oldest is not None else ""
    return f"{outbox.database}: {outbox.waiting} waiting{oldest}"


def _queue(queue: QueueHealth) -> str:
    broker = "" if queue.on_broker is None else f", {queue.on_broker} on the broker"
    unknown = "" if queue.declared else " (the code declares no such queue)"
    return f"{queue.name}: {queue.in_database} in the database{broker}{unknown}"


def _worker(worker: WorkerHealth) -> str:
    state = "alive" if worker.alive else "SILENT"
    return (
        f"{worker.name}: {state}, heard {_length(worker.silent_for)} ago, "
        f"{worker.threads} threads on {', '.join(worker.queues) or 'no queue'}"
    )


def _counts(counts: dict[str, Count]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _length(duration: timedelta) -> str:
    """Write a length of time without its fractions of a second."""
    return str(timedelta(seconds=max(0, round(duration.total_seconds()))))
