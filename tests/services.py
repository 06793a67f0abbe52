"""Which servers can the tests talk to, and which corner of each is theirs alone?

Every function hands out a place that nobody else uses (a vhost, a Redis database, a PostgreSQL
database) and removes it afterwards, so that a test run may share its servers with anything. What a
killed run could not remove, a later one does: RabbitMQ started with few file handles stands still
when some hundred quorum queues are left over, and says nothing.

Read from the environment:

- ``TASKROUTING_TEST_AMQP_URL``, ``TASKROUTING_TEST_REDIS_URL``, ``TASKROUTING_TEST_POSTGRES_URL``:
  where the servers are.
- ``TASKROUTING_TEST_RABBITMQCTL``: the command that makes vhosts, e.g.
  ``docker compose exec -T rabbitmq rabbitmqctl``.
- ``TASKROUTING_REQUIRE_SERVICES=1``: a server that does not answer fails the tests that need it;
  without it they are skipped.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn
from urllib.parse import quote, unquote, urlsplit

import amqp
import psycopg
import pytest
import redis
from psycopg import sql

AMQP_URL = os.environ.get("TASKROUTING_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")
REDIS_URL = os.environ.get("TASKROUTING_TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
POSTGRES_URL = os.environ.get(
    "TASKROUTING_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres"
)
RABBITMQCTL = shlex.split(os.environ.get("TASKROUTING_TEST_RABBITMQCTL", "rabbitmqctl"))
REQUIRED = os.environ.get("TASKROUTING_REQUIRE_SERVICES") == "1"

#: Seconds to wait for a server to answer before calling it away.
PATIENCE = 5

#: Seconds ``rabbitmqctl`` may take.
RABBITMQCTL_PATIENCE = 60

#: Seconds after which a run is surely over, so that what it left behind may be removed.
LONGEST_RUN = 3600
CORNER = "taskrouting_run"
REDIS_OWNER = "taskrouting-tests-owner"


def unavailable(service: str, url: str, reason: object) -> NoReturn:
    """Skip the test that needs ``service``, or fail it where services are required."""
    message = f"{service} is not available at {url}: {reason}"
    if REQUIRED:
        pytest.fail(f"{message} (TASKROUTING_REQUIRE_SERVICES=1)", pytrace=False)
    pytest.skip(message)


def unique_name(prefix: str = "taskrouting_test") -> str:
    """A name that no other test run uses, of letters, digits and underscores."""
    return f"{prefix}_{uuid.uuid4().hex[:12]}"


def _corner() -> str:
    """A name for a corner that is this run's, with the time in it."""
    return unique_name(f"{CORNER}_{int(time.time()):x}")


def _left_behind(names: list[str]) -> list[str]:
    """Those of the names that are corners of runs long over."""
    started = {name: name.split("_")[2] for name in names if name.startswith(f"{CORNER}_")}
    return [name for name, at in started.items() if int(at, 16) < time.time() - LONGEST_RUN]


@contextmanager
def rabbitmq_vhost() -> Iterator[str]:
    """The URL of a new vhost on RabbitMQ; it is deleted with all that is in it."""
    _check_amqp()
    if shutil.which(RABBITMQCTL[0]) is None:
        unavailable(
            "RabbitMQ",
            AMQP_URL,
            f"{RABBITMQCTL[0]} is not installed here, and without it the tests cannot make a "
            "vhost of their own. Set TASKROUTING_TEST_RABBITMQCTL to a command that runs it.",
        )
    for old in _left_behind(_rabbitmqctl("list_vhosts", "name").split()):
        _rabbitmqctl("delete_vhost", old)
    parts = urlsplit(AMQP_URL)
    vhost = _corner()
    _rabbitmqctl("add_vhost", vhost)
    try:
        _rabbitmqctl("set_permissions", "-p", vhost, parts.username or "guest", ".*", ".*", ".*")
        yield parts._replace(path=f"/{quote(vhost)}").geturl()
    finally:
        _delete_queues(vhost)
        _rabbitmqctl("delete_vhost", vhost)


def _delete_queues(vhost: str) -> None:
    """Delete the queues first: RabbitMQ may never end deleting a vhost that is full of them."""
    names = _rabbitmqctl("list_queues", "-p", vhost, "--no-table-headers", "name").split()
    with opened(urlsplit(AMQP_URL)._replace(path=f"/{quote(vhost)}").geturl()) as connection:
        channel = connection.channel()
        for name in names:
            channel.queue_delete(name)


def opened(url: str) -> amqp.Connection:
    """A connection to RabbitMQ that knows nothing of us; it connects as a context manager."""
    parts = urlsplit(url)
    return amqp.Connection(
        host=f"{parts.hostname}:{parts.port or 5672}",
        userid=parts.username or "guest",
        password=parts.password or "guest",
        virtual_host=unquote(parts.path[1:]) or "/",
        connect_timeout=PATIENCE,
    )


def _check_amqp() -> None:
    """Open and close a connection, as the one proof that counts that RabbitMQ is there."""
    try:
        with opened(AMQP_URL):
            pass
    except (OSError, amqp.AMQPError) as error:
        unavailable("RabbitMQ", AMQP_URL, error)


def _rabbitmqctl(*arguments: str) -> str:
    """What the command prints."""
    command = [*RABBITMQCTL, "-q", *arguments]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            check=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=RABBITMQCTL_PATIENCE,
        ).stdout
    except subprocess.CalledProcessError as error:
        unavailable("RabbitMQ", AMQP_URL, f"{shlex.join(command)}: {error.stderr.strip()}")
    except subprocess.TimeoutExpired as error:
        unavailable("RabbitMQ", AMQP_URL, f"{error}; is it out of file handles?")


@contextmanager
def redis_database() -> Iterator[str]:
    """The URL of an empty Redis database, claimed for this run and emptied after it.

    The search begins at the database that ``TASKROUTING_TEST_REDIS_URL`` names.
    """
    url = _free_redis()
    with redis.Redis.from_url(url) as client:
        try:
            yield url
        finally:
            client.flushdb()


def empty_redis(url: str) -> None:
    """Remove everything from a database that was claimed, but that it is."""
    with redis.Redis.from_url(url) as client, client.pipeline() as together:
        together.flushdb()
        together.set(REDIS_OWNER, int(time.time()))
        together.execute()


def _free_redis() -> str:
    """The URL of a database that is now ours."""
    parts = urlsplit(REDIS_URL)
    first = int(parts.path[1:] or 0)
    for number in [*range(first, 16), *range(1, first)]:
        url = parts._replace(path=f"/{number}").geturl()
        try:
            with redis.Redis.from_url(url, socket_connect_timeout=PATIENCE) as client:
                if _claim_redis(client):
                    return url
        except redis.RedisError as error:
            unavailable("Redis", REDIS_URL, error)
    unavailable("Redis", REDIS_URL, "each of its databases holds something")


def _claim_redis(client: redis.Redis) -> bool:
    """Take the database if it is empty, or was left behind; no other run then can."""
    now = int(time.time())
    if client.set(REDIS_OWNER, now, nx=True):
        if client.dbsize() == 1:
            return True
        client.delete(REDIS_OWNER)  # it holds something that no test of ours has written
        return False
    if int(client.get(REDIS_OWNER) or now) > now - LONGEST_RUN:
        return False
    client.flushdb()
    return bool(client.set(REDIS_OWNER, now, nx=True))


@contextmanager
def postgres_database() -> Iterator[str]:
    """The URL of a new, empty PostgreSQL database; it is dropped afterwards, whoever is in it."""
    name = _corner()
    try:
        server = psycopg.connect(POSTGRES_URL, autocommit=True, connect_timeout=PATIENCE)
    except psycopg.Error as error:
        unavailable("PostgreSQL", POSTGRES_URL, error)
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    with server:
        for old in _left_behind(
            [row[0] for row in server.execute("SELECT datname FROM pg_database")]
        ):
            server.execute(drop.format(sql.Identifier(old)))
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlsplit(POSTGRES_URL)._replace(path=f"/{name}").geturl()
        finally:
            server.execute(drop.format(sql.Identifier(name)))
