"""How fast are queues in PostgreSQL alone, for handlers that create one row?"""

from __future__ import annotations

from benchmarks.bench.draining import side
from benchmarks.bench.model import Case, Target
from benchmarks.bench.systems import EMBEDDED, ours_embedded

CASE = Case(
    name="embedded",
    title="a queue in PostgreSQL to a handler that creates one row, 2 processes",
    units={"rate": "rows/s"},
    sides=[side(ours_embedded(), "handler"), *(side(peer, "handler") for peer in EMBEDDED)],
    targets=[
        Target(ours="ours", peer="procrastinate", figure="rate", at_least=4),
        Target(ours="ours", peer="django-tasks-db", figure="rate", at_least=4),
        Target(ours="ours", peer="django-domain-events", figure="rate", at_least=4),
        Target(ours="ours", peer="django-ox", figure="rate", at_least=4),
        Target(ours="ours", peer="oban", figure="rate", at_least=2),
        Target(ours="ours", peer="threadmill", figure="rate"),
    ],
)
