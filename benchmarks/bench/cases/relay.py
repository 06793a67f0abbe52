"""How fast do events leave the outbox? Beside what the broker takes from memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis

from benchmarks.bench import programs, rabbit, windows
from benchmarks.bench.model import Case, Figures, Miscounted, Side, Target
from benchmarks.bench.place import Place
from benchmarks.bench.postgres import Database
from benchmarks.bench.site.sending import QUEUES

#: Events per run.
TO_RABBITMQ, TO_REDIS, FROM_MEMORY_TO_REDIS = 60_000, 60_000, 15_000

BINDINGS = {name: {"type": "classic", "bindings": ["bench.#"]} for name in QUEUES}
RELAY = [programs.manage("run_router_relay")]
WAITING = "SELECT count(*) FROM taskrouting_message WHERE queue = 'taskrouting.outbox'"


def to_rabbitmq(place: Place) -> Figures:
    """Relay to RabbitMQ."""
    rabbit.clean(place.rabbitmq_url)
    env = place.our_env("audit", AUDIT={"queue": None}, QUEUES=BINDINGS)
    count = int(TO_RABBITMQ * place.plenty)
    return _relay(place, env, count, lambda queue: rabbit.depth(place.rabbitmq_url, queue))


def to_redis(place: Place, **settings: Any) -> Figures:
    """Relay to Redis."""
    env = place.our_env("audit", place.redis_url, AUDIT={"queue": None}, QUEUES=BINDINGS,
                        **settings)  # fmt: skip
    count = int(TO_REDIS * place.plenty)
    return _relay(place, env, count, lambda queue: _length(place, queue))


def _relay(place: Place, env: dict[str, str], count: int, depth: Callable[[str], int]) -> Figures:
    """Fill the outbox, relay within a window, and see that every queue has what has left."""
    programs.run(programs.manage("declare_topology"), env)
    programs.run(programs.site("enqueue", "ours", str(count)), env)
    database = Database(place.database_url)
    database.execute("VACUUM ANALYZE")
    one = QUEUES[0]
    with programs.running(RELAY, env, place.log):
        figure = windows.rate(lambda: depth(one), count)
    gone = count - database.number(WAITING)
    database.close()
    found = {name: depth(name) for name in QUEUES}
    if set(found.values()) != {gone}:
        raise Miscounted(f"{gone} of {count} have left the outbox, and the queues have {found}.")
    return {"rate": figure}


def from_memory(place: Place) -> Figures:
    """Publish to RabbitMQ what is in memory."""
    rabbit.clean(place.rabbitmq_url)
    env = place.our_env("audit", AUDIT={"queue": None}, QUEUES=BINDINGS)
    programs.run(programs.manage("declare_topology"), env)
    return _send(place, "amqp", env, int(TO_RABBITMQ * place.plenty),
                 lambda queue: rabbit.depth(place.rabbitmq_url, queue))  # fmt: skip


def kombu_to_redis(place: Place) -> Figures:
    """Publish to Kombu's topic exchange on Redis."""
    count = int(FROM_MEMORY_TO_REDIS * place.plenty)
    return _send(place, "redis", place.env("audit", place.redis_url), count,
                 lambda queue: _length(place, queue))  # fmt: skip


def _send(
    place: Place, way: str, env: dict[str, str], count: int, depth: Callable[[str], int]
) -> Figures:
    figure = float(programs.run(programs.site("sending", way, str(count), "bench"), env))
    found = {name: depth(name) for name in QUEUES}
    if set(found.values()) != {count}:
        raise Miscounted(f"{count} were sent, and the queues have {found}.")
    return {"rate": figure}


def _length(place: Place, queue: str) -> int:
    """Of a queue on Redis, over all of Kombu's priorities."""
    with redis.Redis.from_url(place.redis_url) as client:
        keys = [queue, *client.keys(f"{queue}\x06\x16*")]
        return sum(int(client.llen(key)) for key in keys)


CASE = Case(
    name="relay",
    title="from the outbox in PostgreSQL to two queues of the broker",
    units={"rate": "events/s"},
    sides=[
        Side(name="ours, RabbitMQ", measure=to_rabbitmq, settings="`run_router_relay`, one "
             "process, two classic queues, confirms, `mandatory`"),
        Side(name="from memory, RabbitMQ", measure=from_memory, settings="one process, the same "
             "messages from a list, `Producer.publish`, `mandatory`, confirms awaited for 500 at a "
             "time"),
        Side(name="ours, Redis", measure=to_redis, settings="`run_router_relay`, default settings, "
             "so each row is kept until its queue's consumer has it"),
        Side(name="ours, Redis, until_confirmed",
             measure=lambda place: to_redis(place, OUTBOX_KEEP="until_confirmed"),
             settings="`run_router_relay`, `OUTBOX_KEEP` \"until_confirmed\""),
        Side(name="kombu, Redis", measure=kombu_to_redis, settings="one process, the same messages "
             "from a list, published to Kombu's topic exchange"),
    ],
    targets=[
        Target(ours="ours, RabbitMQ", peer="from memory, RabbitMQ", figure="rate", at_least=0.85),
        Target(ours="ours, Redis", peer="kombu, Redis", figure="rate", at_least=8),
        Target(ours="ours, Redis, until_confirmed", peer="kombu, Redis", figure="rate"),
    ],
)  # fmt: skip
