"""What can every test ask for? Servers of its own, and names that nobody else uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import services


@pytest.fixture(scope="session")
def rabbitmq_url() -> Iterator[str]:
    """The URL of a vhost on RabbitMQ that only this run uses."""
    with services.rabbitmq_vhost() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a Redis database that only this run uses; it was empty when the run began."""
    with services.redis_database() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[str]:
    """The URL of a PostgreSQL database that only this run uses; there is no table in it."""
    with services.postgres_database() as url:
        yield url


@pytest.fixture
def unique_name() -> str:
    """A name for a queue, an exchange or a key that no other test uses."""
    return services.unique_name()
