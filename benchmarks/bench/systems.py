"""Who is measured, and how is each set up? Workers as their documentation has them, tuned for this.

What each is run with is said in ``settings``, which the report repeats.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from . import programs
from .place import Place

Env = Callable[[Place, str], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Something with workers."""

    name: str
    settings: str

    #: What ``site.enqueue`` knows it by.
    door: str
    workers: Sequence[Sequence[str]]
    env: Env

    #: Its queue on RabbitMQ; or a query for what waits in PostgreSQL; neither: not counted.
    queue: str = ""
    waiting: str = ""

    #: Whether the ledger counts what is done.
    ledger: bool = False

    #: How many messages may be done and wait again, when it had to be killed; none for us.
    again: int = 0

    #: Messages to have at hand, for each job: more than are done within a window.
    plenty: Mapping[str, int]


def ours(
    processes: int = 2, *, name: str = "ours", queue: str = "bench_queue", **settings: Any
) -> System:
    """Our worker on RabbitMQ, with its defaults unless ``settings`` change TASKROUTING."""
    changed = f"with {json.dumps(settings)}" if settings else "default settings, classic queue"
    return System(
        name=name,
        settings=f"`run_router_worker --processes {processes}`, {changed}",
        door="ours",
        workers=[programs.manage("run_router_worker", "--processes", str(processes))],
        env=lambda place, job: place.our_env(job, **settings),
        queue=queue,
        ledger=queue != "audit_queue",
        plenty={"audit": 130_000, "handler": 25_000, "noop": 60_000},
    )


def ours_embedded(processes: int = 2) -> System:
    """Our worker on ``django://``."""
    return System(
        name="ours",
        settings=f"`django://`, `run_router_worker --processes {processes}`, default settings",
        door="ours",
        workers=[programs.manage("run_router_worker", "--processes", str(processes))],
        env=lambda place, job: place.our_env(job, "django://"),
        waiting="SELECT count(*) FROM taskrouting_message",
        ledger=True,
        plenty={"handler": 25_000},
    )


def _peer(place: Place, job: str, apps: str = "", **more: str) -> Mapping[str, str]:
    """``taskrouting`` is there for the table of the audit log alone."""
    return place.env(job, apps=f"taskrouting {apps}" if job == "audit" else apps, **more)


def _tasks(backend: str, **more: str) -> str:
    """Settings for a backend of Django's tasks framework."""
    return json.dumps({"default": {"BACKEND": backend, **more}})


def _celery(name: str, settings: str, late: str) -> System:
    words = (
        "-A", "benchmarks.bench.site.with_celery", "worker", "-P", "prefork", "-c", "2",
        "-l", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat",
    )  # fmt: skip
    return System(
        name=name,
        settings="`-P prefork -c 2`, `CELERY_DB_REUSE_MAX` set, results ignored, no gossip, "
        f"mingle, heartbeat, events or remote control, prefetch multiplier 32, {settings}; "
        "classic queue",
        door="celery",
        workers=[programs.module("celery", *words)],
        env=partial(_peer, BENCH_ACKS_LATE=late),
        queue="celery_queue",
        again=64,
        plenty={"audit": 13_000, "handler": 13_000, "noop": 30_000},
    )


CELERY = _celery("celery", "early acknowledgement (the default)", "0")
CELERY_LATE = _celery("celery acks_late", "`acks_late`", "1")

DRAMATIQ = System(
    name="dramatiq",
    settings="`--processes 2 --threads 8`, default middleware, persistent connections to "
    "PostgreSQL; classic queue",
    door="dramatiq",
    workers=[programs.module("dramatiq", "benchmarks.bench.site.with_dramatiq", "--processes", "2",
                             "--threads", "8")],
    env=_peer,
    queue="dramatiq_queue",
    again=32,
    plenty={"audit": 24_000, "handler": 24_000, "noop": 70_000},
)  # fmt: skip

FASTSTREAM = System(
    name="faststream",
    settings="one process, prefetch 50, 8 connections to PostgreSQL, rows written by asyncpg, "
    "acknowledged afterwards; classic queue",
    door="faststream",
    workers=[programs.module("faststream", "run", "benchmarks.bench.site.with_faststream:app",
                             "--log-level", "error")],
    env=_peer,
    queue="faststream_queue",
    again=50,
    plenty={"audit": 20_000},
)  # fmt: skip

KOMBU = System(
    name="raw kombu",
    settings="one process, `Consumer` with prefetch 1,000, acknowledges each message and does "
    "nothing else, not even decode it; the same messages of ours in the same kind of queue",
    door="ours",
    workers=[programs.site("with_kombu", "audit_queue")],
    env=lambda place, job: place.our_env(job),
    queue="audit_queue",
    again=1_000,
    plenty={"audit": 130_000},
)

PROCRASTINATE = System(
    name="procrastinate",
    settings="two `procrastinate worker --concurrency 8`",
    door="procrastinate",
    workers=[programs.manage("procrastinate", "worker", "--concurrency", "8")] * 2,
    env=partial(_peer, apps="procrastinate.contrib.django"),
    waiting="SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'",
    again=16,
    plenty={"handler": 6_000},
)

DJANGO_TASKS_DB = System(
    name="django-tasks-db",
    settings="two `db_worker`",
    door="django-tasks-db",
    workers=[programs.manage("db_worker", "--no-startup-delay")] * 2,
    env=partial(_peer, apps="django_tasks_db",
                BENCH_TASKS=_tasks("django_tasks_db.DatabaseBackend")),
    waiting="SELECT count(*) FROM django_tasks_database_dbtaskresult WHERE status <> 'SUCCESSFUL'",
    again=2,
    plenty={"handler": 6_000},
)  # fmt: skip

DOMAIN_EVENTS = System(
    name="django-domain-events",
    settings="two `deliver_events --batch-size 500`, `NOTIFY_COALESCE_SECONDS` 0",
    door="django-domain-events",
    workers=[programs.manage("deliver_events", "--batch-size", "500", "--worker-id", f"{number}")
             for number in range(2)],
    env=partial(_peer, apps="django_domain_events",
                BENCH_DOMAIN_EVENTS=json.dumps({"NOTIFY_COALESCE_SECONDS": 0})),
    waiting="SELECT count(*) FROM django_domain_events_deliveryrecord WHERE status <> 'succeeded'",
    plenty={"handler": 6_000},
)  # fmt: skip

OX = System(
    name="django-ox",
    settings="`ox_worker --processes 2 --concurrency 8 -v 0`",
    door="django-ox",
    workers=[programs.manage("ox_worker", "--processes", "2", "--concurrency", "8", "-v", "0")],
    env=partial(_peer, apps="django_ox", BENCH_TASKS=_tasks("django_ox.backend.OxBackend")),
    waiting="SELECT count(*) FROM django_ox_oxtask WHERE status <> 'SUCCESSFUL'",
    again=16,
    plenty={"handler": 7_000},
)  # fmt: skip

THREADMILL = System(
    name="threadmill",
    settings="`threadmill worker --workers 2 --threads 4`, on Redis; at most once",
    door="threadmill",
    workers=[programs.manage("threadmill", "worker", "--workers", "2", "--threads", "4")],
    env=lambda place, job: place.env(
        job, apps="threadmill",
        BENCH_TASKS=_tasks("threadmill.backends.redis.RedisTaskBackend",
                           REDIS_URL=place.redis_url),
    ),
    plenty={"handler": 15_000},
)  # fmt: skip

OBAN = System(
    name="oban",
    settings="two `oban start --queues default:100`, the row by Django's `acreate()`",
    door="oban",
    workers=[
        programs.module("oban", "start", "--queues", "default:100", "--log-level", "ERROR")
    ] * 2,
    env=lambda place, job: place.env(job, OBAN_DSN=place.database_url),
    waiting="SELECT count(*) FROM oban_jobs WHERE state <> 'completed'",
    again=200,
    plenty={"handler": 15_000},
)  # fmt: skip

EMBEDDED = [PROCRASTINATE, DJANGO_TASKS_DB, DOMAIN_EVENTS, OX, OBAN, THREADMILL]
