"""Where does each transport of the conformance list live while the tests run?

A place is a broker URL with what it needs, and the database that is the store beside it. The
embedded broker is tried on SQLite and on PostgreSQL in one session: whichever of the two is not
the tests' default database is added as another alias, for one test at a time.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from project import environment
from tests.waiting import wait_until

MEMORY = "memory"
SQLITE = "django-sqlite"
POSTGRES = "django-postgres"
QUORUM = "rabbitmq-quorum"
CLASSIC = "rabbitmq-classic"
REDIS = "redis"
FILESYSTEM = "filesystem"
SQS = "sqs"

#: Every transport that has to keep the promises.
EVERYWHERE = (MEMORY, SQLITE, POSTGRES, QUORUM, CLASSIC, REDIS, FILESYSTEM, SQS)

EMBEDDED = (SQLITE, POSTGRES)
RABBITMQ = (QUORUM, CLASSIC)

#: Seconds without a sign of life after which a claim, or a delivery, goes to somebody else.
LEASE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One broker, and the database beside it."""

    name: str
    url: str

    #: The database of store and ledger.
    alias: str = "default"

    #: What ``TRANSPORT_OPTIONS`` says.
    options: Mapping[str, Any] = field(default_factory=dict)

    #: What ``QUEUES`` says of every queue.
    tuning: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def place(name: str, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Find the place called ``name``; skip or fail the test where its server is away."""
    if name in EMBEDDED:
        with database(name, request) as alias:
            yield Place(name=name, url="django://", alias=alias)
    else:
        yield Place(name=name, **_FOUND[name](request))


@contextmanager
def database(name: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The alias of an empty SQLite or PostgreSQL database, for a block."""
    wanted = "sqlite" if name == SQLITE else "postgresql"
    if connections["default"].vendor == wanted:
        yield "default"
        return
    with added(wanted, request.getfixturevalue(f"{wanted}_settings")):
        yield wanted


@contextmanager
def added(alias: str, settings: dict[str, Any]) -> Iterator[None]:
    """Add a database to Django's for a block."""
    known = connections.settings["default"]
    connections.settings[alias] = connections.configure_settings(
        {"default": dict(known), alias: dict(settings)}
    )[alias]
    try:
        yield
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


def migrated(alias: str, url: str) -> dict[str, Any]:
    """Make our tables in the database at ``url``; return its settings."""
    settings = environment.database(url)
    with added(alias, settings):
        call_command("migrate", database=alias, verbosity=0)
    return settings


@contextmanager
def sqs_server() -> Iterator[str]:
    """The URL of an SQS that runs here, for a block."""
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port = chosen.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(port), timeout=30, message="moto to answer")
        yield f"sqs://key:secret@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _memory(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"url": "memory://"}


def _rabbitmq(queue_type: str) -> Any:
    def found(request: pytest.FixtureRequest) -> dict[str, Any]:
        return {"url": request.getfixturevalue("rabbitmq_url"), "tuning": {"type": queue_type}}

    return found


def _redis(request: pytest.FixtureRequest) -> dict[str, Any]:
    prefix = request.getfixturevalue("unique_name")
    return {
        "url": request.getfixturevalue("redis_url"),
        "options": {"global_keyprefix": f"{prefix}:"},
    }


def _filesystem(request: pytest.FixtureRequest) -> dict[str, Any]:
    folder: Path = request.getfixturevalue("tmp_path")
    messages, control = folder / "messages", folder / "control"
    messages.mkdir()
    options = {"data_folder_in": messages, "data_folder_out": messages, "control_folder": control}
    return {"url": "filesystem://", "options": {key: str(path) for key, path in options.items()}}


def _sqs(request: pytest.FixtureRequest) -> dict[str, Any]:
    prefix = request.getfixturevalue("unique_name")
    return {
        "url": request.getfixturevalue("sqs_url"),
        "options": {"region": "us-east-1", "queue_name_prefix": f"{prefix}_"},
    }


_FOUND = {
    MEMORY: _memory,
    QUORUM: _rabbitmq("quorum"),
    CLASSIC: _rabbitmq("classic"),
    REDIS: _redis,
    FILESYSTEM: _filesystem,
    SQS: _sqs,
}
