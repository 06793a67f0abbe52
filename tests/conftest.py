"""What can every test ask for? Servers of its own, and names that nobody else uses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import services
from tests.conformance.fixtures import (
    installation,
    place,
    postgresql_settings,
    sqlite_settings,
    sqs_url,
)

__all__ = ["installation", "place", "postgresql_settings", "sqlite_settings", "sqs_url"]

# How long an example takes says more about the machine's other work than about our code.
settings.register_profile("busy cores", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy cores")

#: Folders whose tests start programs and wait for them.
LONG = ("acceptance", "browser", "chaos", "faults")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes long begin early, so that nobody waits for one test in the end.

    Files stay whole, for what their tests share, and long ones alternate with others.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    long = [each for path, each in files.items() if path.parent.name in LONG]
    others = [each for path, each in files.items() if path.parent.name not in LONG]
    pairs = chain.from_iterable(zip_longest(long, others, fillvalue=[]))
    items[:] = chain.from_iterable(pairs)


@pytest.fixture(scope="session")
def rabbitmq_url() -> Iterator[str]:
    """The URL of a vhost on RabbitMQ that only this run uses."""
    with services.rabbitmq_vhost() as url:
        yield url


@pytest.fixture
def empty_rabbitmq_url() -> Iterator[str]:
    """The URL of a vhost that only this test uses, for queues with names that others use too."""
    with services.rabbitmq_vhost() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a Redis database that only this run uses; it was empty when the run began."""
    with services.redis_database() as url:
        yield url


@pytest.fixture
def empty_redis_url(redis_url: str) -> str:
    """That database, emptied of what the tests before have left in queues that others use too."""
    services.empty_redis(redis_url)
    return redis_url


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[str]:
    """The URL of a PostgreSQL database that only this run uses; there is no table in it."""
    with services.postgres_database() as url:
        yield url


@pytest.fixture
def unique_name() -> str:
    """A name for a queue, an exchange or a key that no other test uses."""
    return services.unique_name()
