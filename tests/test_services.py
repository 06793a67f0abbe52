"""Do the tests keep to their own corner of the servers, and say so when one is away?"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import amqp
import psycopg
import pytest
import redis

from tests import services
from tests.waiting import wait_until

NOBODY_LISTENS = {
    "AMQP_URL": "amqp://guest:guest@127.0.0.1:1//",
    "REDIS_URL": "redis://127.0.0.1:1/9",
    "POSTGRES_URL": "postgresql://postgres@127.0.0.1:1/postgres",
}
CORNERS = [
    ("AMQP_URL", services.rabbitmq_vhost),
    ("REDIS_URL", services.redis_database),
    ("POSTGRES_URL", services.postgres_database),
]
Corner = Callable[[], AbstractContextManager[str]]


@pytest.mark.parametrize("required", [False, True], ids=["optional", "required"])
@pytest.mark.parametrize(("setting", "corner"), CORNERS)
def test_a_server_that_is_away_is_named(
    setting: str, corner: Corner, required: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a server the test is skipped, or fails where CI wants it, and the URL is named."""
    monkeypatch.setattr(services, setting, NOBODY_LISTENS[setting])
    monkeypatch.setattr(services, "REQUIRED", required)
    expected = pytest.fail.Exception if required else pytest.skip.Exception

    with pytest.raises(expected, match=NOBODY_LISTENS[setting]), corner():
        pass


def test_a_vhost_lasts_as_long_as_its_run() -> None:
    """What a run declares on RabbitMQ goes when the run ends."""
    with services.rabbitmq_vhost() as url:
        connect_amqp(url).close()

    with pytest.raises(amqp.NotAllowed, match="not found"):
        connect_amqp(url)


def connect_amqp(url: str) -> amqp.Connection:
    """An open connection to the vhost of the URL."""
    parts = urlsplit(url)
    connection = amqp.Connection(f"{parts.hostname}:{parts.port}", virtual_host=parts.path[1:])
    try:
        connection.connect()
    except amqp.AMQPError:
        connection.collect()
        raise
    return connection


def test_two_runs_do_not_share_a_redis_database() -> None:
    """The database that one run has claimed is left alone by the next, and is empty afterwards."""
    with services.redis_database() as mine:
        client = redis.Redis.from_url(mine)
        client.set("something", "left over")
        with services.redis_database() as theirs:
            assert theirs != mine

    assert client.dbsize() == 0
    client.close()


def test_a_postgresql_database_goes_with_whoever_is_in_it() -> None:
    """A connection that a test forgot does not keep its database alive."""
    with services.postgres_database() as url:
        forgotten = psycopg.connect(url)

    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)
    forgotten.close()


def test_what_a_killed_run_left_behind_is_removed_by_a_later_one() -> None:
    """Corners of runs that are long over go; those of runs that may still be on stay."""
    old, new = (f"{services.CORNER}_{int(time.time() - age):x}_x" for age in (3 * 3600, 60))
    with services.postgres_database() as url, psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {old}")
        server.execute(f"CREATE DATABASE {new}")
        with services.postgres_database():
            names = {row[0] for row in server.execute("SELECT datname FROM pg_database")}
        server.execute(f"DROP DATABASE {new}")

    assert old not in names
    assert new in names


def test_waiting_ends_when_it_has_happened() -> None:
    """Whoever waits gets what it waited for."""
    answers = iter([None, "", "there"])

    assert wait_until(lambda: next(answers)) == "there"


def test_waiting_in_vain_says_for_what() -> None:
    """A deadline that passes fails the test with what was missing and what was seen instead."""
    with pytest.raises(pytest.fail.Exception, match=r"0\.05 s for the moon; last seen: \[\]"):
        wait_until(list, timeout=0.05, message="the moon")
