"""How fast do messages on RabbitMQ become rows of the audit log?"""

from __future__ import annotations

from benchmarks.bench.draining import side
from benchmarks.bench.model import Case, Target
from benchmarks.bench.systems import CELERY, DRAMATIQ, FASTSTREAM, KOMBU, ours

QUORUM = {"audit_queue": {"type": "quorum"}}

CASE = Case(
    name="audit",
    title="RabbitMQ to one row of the audit log per event",
    units={"rate": "rows/s"},
    sides=[
        side(ours(queue="audit_queue"), "audit"),
        side(ours(name="ours, quorum", queue="audit_queue", QUEUES=QUORUM), "audit"),
        side(CELERY, "audit"),
        side(DRAMATIQ, "audit"),
        side(FASTSTREAM, "audit"),
        side(ours(1, name="ours, 1 process", queue="audit_queue"), "audit"),
        side(KOMBU, "audit"),
    ],
    targets=[
        Target(ours="ours", peer="celery", figure="rate", at_least=12),
        Target(ours="ours", peer="dramatiq", figure="rate", at_least=7),
        Target(ours="ours", peer="faststream", figure="rate"),
        Target(ours="ours, quorum", peer="celery", figure="rate"),
        Target(ours="ours, 1 process", peer="raw kombu", figure="rate", at_least=0.75),
    ],
)
