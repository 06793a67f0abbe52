"""What does a test on every transport need? One installation per transport, on its own place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import places
from tests.conformance.installation import Installation
from tests.conformance.places import Place


@pytest.fixture(scope="session")
def sqs_url() -> Iterator[str]:
    """The URL of an SQS that only this run uses."""
    with places.sqs_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_settings(
    postgres_database: str, django_db_setup: None, django_db_blocker: Any
) -> dict[str, Any]:
    """A PostgreSQL database with our tables, where the tests' own is SQLite."""
    with django_db_blocker.unblock():
        # Nobody pulls the plug: what a killed process committed is there all the same.
        return places.migrated(
            "postgresql", f"{postgres_database}?options=-c%20synchronous_commit%3Doff"
        )


@pytest.fixture(scope="session")
def sqlite_settings(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> dict[str, Any]:
    """An SQLite database with our tables, where the tests' own is PostgreSQL."""
    file: Path = tmp_path_factory.mktemp("embedded") / "embedded.sqlite3"
    with django_db_blocker.unblock():
        return places.migrated("sqlite", f"sqlite:///{file}")


@pytest.fixture(params=places.EVERYWHERE)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Each place of the list in turn; its database joins the test's, and is emptied after it."""
    with places.place(request.param, request) as found:
        databases = ["default", *({found.alias} - {"default"})]
        request.node.add_marker(pytest.mark.django_db(transaction=True, databases=databases))
        yield found


@pytest.fixture
def installation(place: Place, transactional_db: None) -> Iterator[Installation]:
    """An installation at the place; the database is not asked for before the place is known."""
    with Installation(place).in_force() as here:
        yield here
