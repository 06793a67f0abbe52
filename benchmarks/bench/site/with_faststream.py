"""FastStream's app: asynchronous from the queue to the row, which asyncpg writes."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

import asyncpg
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

from .payload import time_ordered_id

INSERT = """INSERT INTO taskrouting_auditlog (event_id, source, routing_key, subject, actor,
    correlation_id, causation_id, traceparent, data, extensions, occurred_at, relayed_at)
    VALUES ($1, 'bench', 'bench.row', '', '', $1, '', '', $2, '{}', $3, $3)"""

broker = RabbitBroker(os.environ["BENCH_BROKER_URL"], default_channel=Channel(prefetch_count=50),
                      logger=None)  # fmt: skip
app = FastStream(broker, logger=None)
QUEUE = RabbitQueue("faststream_queue", durable=True)
pools: list[Any] = []


@app.on_startup
async def connect() -> None:
    """Open the pool of connections to PostgreSQL."""
    url = os.environ["BENCH_DATABASE_URL"]
    pools.append(await asyncpg.create_pool(url, min_size=8, max_size=8))


@broker.subscriber(QUEUE, ack_policy=AckPolicy.NACK_ON_ERROR)
async def work(payload: dict[str, Any]) -> None:
    """Write the row of the audit log."""
    await pools[0].execute(INSERT, time_ordered_id(), json.dumps(payload), datetime.now(UTC))
