"""How fast are handlers that do nothing? What remains is the machinery, and with us the ledger."""

from __future__ import annotations

from benchmarks.bench.draining import side
from benchmarks.bench.model import Case, Target
from benchmarks.bench.systems import CELERY, DRAMATIQ, ours

CASE = Case(
    name="noop",
    title="RabbitMQ to a handler that does nothing",
    units={"rate": "messages/s"},
    sides=[
        side(ours(), "noop"),
        side(CELERY, "noop"),
        side(DRAMATIQ, "noop"),
    ],
    targets=[
        Target(ours="ours", peer="celery", figure="rate", at_least=4),
        Target(ours="ours", peer="dramatiq", figure="rate", at_least=1.3),
    ],
)
