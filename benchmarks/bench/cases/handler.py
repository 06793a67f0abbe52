"""How fast are handlers that create one row, exactly once with us and at least once elsewhere?"""

from __future__ import annotations

from benchmarks.bench.draining import side
from benchmarks.bench.model import Case, Target
from benchmarks.bench.systems import CELERY_LATE, DRAMATIQ, ours

QUORUM = {"bench_queue": {"type": "quorum"}}

CASE = Case(
    name="handler",
    title="RabbitMQ to a handler that creates one row",
    units={"rate": "rows/s"},
    sides=[
        side(ours(), "handler"),
        side(ours(name="ours, quorum", QUEUES=QUORUM), "handler"),
        side(CELERY_LATE, "handler"),
        side(DRAMATIQ, "handler"),
    ],
    targets=[
        Target(ours="ours", peer=CELERY_LATE.name, figure="rate", at_least=3.5),
        Target(ours="ours", peer="dramatiq", figure="rate", at_least=1.8),
        Target(ours="ours, quorum", peer=CELERY_LATE.name, figure="rate"),
    ],
)
