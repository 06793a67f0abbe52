"""Where does a worker run whose broker or database comes and goes? Behind a door of the test's."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connections

from taskrouting import publish, publish_many
from taskrouting.models import AuditLog, Delivery, WorkerProcess
from tests import processes
from tests.conformance import places
from tests.processes import Worker
from tests.proxy import Proxy, proxy
from tests.waiting import wait_until

#: What may be away: the broker; the database that is the broker; the database beside RabbitMQ.
RABBITMQ, REDIS, POSTGRES, BESIDE = "rabbitmq", "redis", "postgres", "postgres-beside-rabbitmq"
EVERY = (RABBITMQ, REDIS, POSTGRES, BESIDE)
DATABASES = (POSTGRES, BESIDE)

#: Seconds for anything to come, on a busy machine.
PATIENCE = 60

#: What a worker says of a fault, and of its end.
FAULT, END = "trying again", "back after"

#: Look more often than a worker does otherwise, and try again at once.
HURRIED_WATCH = {
    "taskrouting.transport.watch.EVERY": 0.5,
    "taskrouting.transport.outage.FIRST": 0.02,
    "taskrouting.transport.outage.LONGEST": 0.1,
    "taskrouting.publishing.keeping.RESEND": 2,
    "taskrouting.transport.receiving.HEARTBEAT": 2,
    "taskrouting.transport.receiving.CHECK_EVERY": 0.3,
    "taskrouting.transport.receiving.RENEW": 3,
    "taskrouting.transport.sending.CONFIRM_TIMEOUT": 2,
}

PORTS = {"redis": 6379, "amqp": 5672}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A worker's surroundings, with a door before the server that comes and goes."""

    door: Proxy
    broker_url: str
    alias: str
    settings: Mapping[str, Any]
    variables: Mapping[str, str]

    def worker(
        self,
        folder: Path,
        *options: str,
        hurry: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> AbstractContextManager[Worker]:
        """Run a worker for a block; ``hurry`` names constants that are otherwise in it."""
        return processes.worker(
            folder, *options, variables=self.hurried(hurry), **{**self.settings, **settings}
        )

    @contextmanager
    def proven_worker(self, folder: Path) -> Iterator[Worker]:
        """Run a worker in a hurry for a block; it has handled one event of each kind before."""
        with self.worker(folder, hurry=HURRIED_WATCH) as worker:
            worker.wait_until_ready()
            self.publish_both()
            self.wait_until_handled(2)
            yield worker

    def hurried(self, hurry: Mapping[str, float] | None) -> Mapping[str, str]:
        """The environment of a process in a hurry."""
        return {**self.variables, "DEPOT_HURRY": json.dumps(hurry or {})}

    def rows(self, model: Any, **wanted: Any) -> Any:
        """Rows of the database, past the door."""
        return model.objects.using(self.alias).filter(**wanted)

    def publish(self, routing_key: str, **orders: Any) -> None:
        """Publish one event, past the door."""
        publish(routing_key, orders, using=self.alias)

    def publish_both(self) -> None:
        """Publish one event for a handler of each kind."""
        publish_many([("depot.write.row", {}), ("depot.call.row", {})], using=self.alias)

    def wait_until_handled(self, events: int) -> None:
        """Wait until so many events are handled and recorded."""
        wait_until(
            lambda: (
                self.rows(Delivery, state="handled").count() >= events
                and self.rows(AuditLog).count() >= events
            ),
            timeout=PATIENCE,
            message=f"{events} events to be handled and recorded",
        )

    def pid(self) -> int:
        """The id of the one worker process."""
        wait_until(lambda: self.rows(WorkerProcess).count() == 1, timeout=PATIENCE)
        return int(self.rows(WorkerProcess).get().pid)


def wait_for(worker: Worker, word: str, after: int) -> None:
    """Wait until ``worker`` has said ``word`` more than ``after`` times."""
    wait_until(
        lambda: worker.printed().count(word) > after,
        timeout=PATIENCE,
        message=f"{word!r} for the {after + 1}th time in {worker.log}",
    )


def troubled(worker: Worker) -> set[str]:
    """Which of its threads have met a fault that is not over, by what they have said."""
    said = re.findall(r"^(worker \S+|relay of \S+|database \S+): (back)?", worker.printed(), re.M)
    return {where for where, back in dict(said).items() if not back}


def belongings(pid: int) -> tuple[int, int]:
    """Count what a process holds: file descriptors and threads."""
    return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))


@pytest.fixture(params=EVERY)
def away(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Which server comes and goes, and the alias of the ledger's database, which joins the test."""
    behind = request.param in DATABASES
    with places.database(places.POSTGRES, request) if behind else nullcontext("default") as alias:
        databases = ["default", *({alias} - {"default"})]
        request.node.add_marker(pytest.mark.django_db(transaction=True, databases=databases))
        yield request.param, alias


@pytest.fixture
def scene(
    away: tuple[str, str], transactional_db: None, request: Any, settings: Any, unique_name: str
) -> Iterator[Scene]:
    """The worker's surroundings; the settings are those of the test's process too."""
    server, alias = away
    url = _broker_url(server, request)
    with proxy(*_target(server, alias, url)) as door:
        through = {"HOST": "127.0.0.1", "PORT": door.port} if server in DATABASES else {}
        options = {
            "BROKER_URL": url if server in DATABASES else _through(url, door),
            "EXCHANGE": unique_name,
            "TRANSPORT_OPTIONS": {"socket_timeout": 2} if server == REDIS else {},
            # Redis gives back what a lost connection held when twice this has passed.
            "LEASE": 5 if server in DATABASES else 1,
        }
        aliases = {"DATABASE": alias, "OUTBOX_DATABASES": [alias]}
        settings.TASKROUTING = {"SOURCE": "tests", **options, **aliases}
        yield Scene(
            door=door,
            broker_url=url,
            alias=alias,
            settings=options,
            variables={"DEPOT_DATABASE": processes.database(alias, **through)},
        )


def _broker_url(server: str, request: pytest.FixtureRequest) -> str:
    if server == POSTGRES:
        return "django://"
    fixture = "empty_redis_url" if server == REDIS else "empty_rabbitmq_url"
    return str(request.getfixturevalue(fixture))


def _target(server: str, alias: str, url: str) -> tuple[str, int]:
    """Where the server is that may be away."""
    if server in DATABASES:
        known = connections[alias].settings_dict
        return known["HOST"] or "127.0.0.1", int(known["PORT"] or 5432)
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or PORTS[parts.scheme]


def _through(url: str, door: Proxy) -> str:
    """The same URL, by the door."""
    parts = urlsplit(url)
    credentials, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{credentials}{at}127.0.0.1:{door.port}").geturl()
