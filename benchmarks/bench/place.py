"""Where is a side measured? In a database, a vhost and a folder that only this run has.

PostgreSQL, RabbitMQ and Redis are the machine's, with the settings they have; what we make in them
is gone after the run. ``BENCH_POSTGRES_URL``, ``BENCH_RABBITMQ_URL`` and ``BENCH_REDIS_URL`` name
others; Redis's database is emptied.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis

from . import postgres, programs

POSTGRES = os.environ.get("BENCH_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
RABBITMQ = os.environ.get("BENCH_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")
REDIS = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/11")

#: All of these have tables.
APPS = "taskrouting procrastinate.contrib.django django_tasks_db django_ox django_domain_events"


class Place:
    """What a measurement may use, fresh for each."""

    def __init__(self, name: str, folder: Path, tuning: Mapping[str, Any]) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / "programs.log"
        self.database_url = _with_path(POSTGRES, name)
        self.rabbitmq_url = _with_path(RABBITMQ, name)
        self.redis_url = REDIS
        #: How many times more messages than usual a side has at hand.
        self.plenty = 1.0
        self._tuning = tuning

    @property
    def tally(self) -> Path:
        """The file in which handlers are counted."""
        return self.folder / "tally"

    @property
    def stamps(self) -> Path:
        """The file in which handlers note when they began."""
        return self.folder / "stamps"

    def become(self, template: str) -> None:
        """Have the tables of another database instead."""
        postgres.drop(POSTGRES, self.name)
        postgres.create(POSTGRES, self.name, template)

    def env(self, job: str, broker_url: str = "", apps: str = "", **more: str) -> dict[str, str]:
        """The environment of a peer's programs."""
        return {
            "BENCH_JOB": job,
            "BENCH_DATABASE_URL": self.database_url,
            "BENCH_BROKER_URL": broker_url or self.rabbitmq_url,
            "BENCH_APPS": apps,
            "BENCH_TALLY": str(self.tally),
            "BENCH_STAMPS": str(self.stamps),
            **more,
        }

    def our_env(self, job: str, broker_url: str = "", **settings: Any) -> dict[str, str]:
        """The environment of our own programs; ``settings`` go into TASKROUTING."""
        queue = "audit_queue" if job == "audit" else "bench_queue"
        ours = {
            "BROKER_URL": broker_url or self.rabbitmq_url,
            "SOURCE": "bench",
            "EXCHANGE": "bench",
            "AUDIT": {"queue": "audit_queue" if job == "audit" else None},
            "QUEUES": {queue: {"type": "classic"}},
            **settings,
            **self._tuning,
        }
        return self.env(job, broker_url, "taskrouting", BENCH_TASKROUTING=json.dumps(ours))


@contextmanager
def grounds(tuning: Mapping[str, Any]) -> Iterator[Grounds]:
    """What all measurements of a run share."""
    name = f"bench_{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, _vhost(name):
        try:
            yield Grounds(name, Path(folder), tuning)
        finally:
            postgres.drop(POSTGRES, f"{name}%")
            _redis().flushdb()


class Grounds:
    """Makes places: clones of a database with all tables, and one vhost."""

    def __init__(self, name: str, folder: Path, tuning: Mapping[str, Any]) -> None:
        self._name = name
        self._folder = folder
        self._tuning = tuning
        self._template = f"{name}_template"
        self._made = 0
        postgres.create(POSTGRES, self._template)
        template = Place(self._template, folder, {})
        env = template.env("noop", apps=APPS)
        programs.run(programs.manage("migrate", "--run-syncdb", "--verbosity=0"), env)
        env["OBAN_DSN"] = template.database_url
        programs.run(programs.module("oban", "install"), env)

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Make a place whose tables and queues are empty."""
        self._made += 1
        folder = self._folder / str(self._made)
        folder.mkdir()
        postgres.create(POSTGRES, self._name, self._template)
        _redis().flushdb()
        try:
            yield Place(self._name, folder, self._tuning)
        finally:
            postgres.drop(POSTGRES, self._name)


@contextmanager
def _vhost(name: str) -> Iterator[None]:
    user = urlsplit(RABBITMQ).username or "guest"
    _rabbitmqctl("add_vhost", name)
    try:
        _rabbitmqctl("set_permissions", "-p", name, user, ".*", ".*", ".*")
        yield
    finally:
        _rabbitmqctl("delete_vhost", name)


def _rabbitmqctl(*words: str) -> None:
    subprocess.run(["rabbitmqctl", "-q", *words], check=True, capture_output=True)


def _redis() -> redis.Redis:
    return redis.Redis.from_url(REDIS)


def _with_path(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
