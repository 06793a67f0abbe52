"""Do the system checks see which databases would lose, refuse or block what we write?"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.db import connections

from taskrouting.checks import databases
from tests.unit.checking import found, messages_found, said

#: What a database needs; each test breaks one of them.
GOOD = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 5,
    "init_command": "PRAGMA journal_mode=WAL;",
}


def add_database(monkeypatch: pytest.MonkeyPatch, alias: str, **changes: Any) -> None:
    """Add a database that nobody connects to, until the test ends."""
    monkeypatch.setitem(
        connections.databases, alias, {**connections.databases["default"], **changes}
    )
    monkeypatch.setattr(connections._connections, alias, None, raising=False)
    delattr(connections._connections, alias)


@pytest.fixture
def sqlite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any) -> Any:
    """Make an SQLite database with these options the one of taskrouting."""

    def make(**options: Any) -> Path:
        file = tmp_path / "checked.sqlite3"
        add_database(
            monkeypatch,
            "checked",
            ENGINE="django.db.backends.sqlite3",
            NAME=str(file),
            OPTIONS=options,
        )
        settings.TASKROUTING = {"DATABASE": "checked"}
        return file

    return make


class Router:
    """A database router that wants taskrouting elsewhere."""

    def db_for_write(self, model, **hints):
        """Send our messages to the other database."""
        return "other" if model._meta.app_label == "taskrouting" else None

    def allow_migrate(self, db, app_label, **hints):
        """Make no tables of ours in the default database."""
        return not (app_label == "taskrouting" and db == "default")


def test_a_router_must_choose_an_outbox_that_is_emptied(settings):
    """What is published would stay where it is, or not be written at all."""
    settings.DATABASE_ROUTERS = [f"{__name__}.Router"]
    assert found() == ["E009", "E010"]

    settings.TASKROUTING = {"DATABASE": "other", "OUTBOX_DATABASES": ["other"]}
    assert found() == []


def test_another_database_is_refused(settings, monkeypatch):
    """MySQL, say, does not speak the SQL of our claims."""
    add_database(monkeypatch, "strange", ENGINE="django.db.backends.dummy")
    settings.TASKROUTING = {"OUTBOX_DATABASES": ["default", "strange"]}

    assert "'strange' is unknown; taskrouting keeps its tables in PostgreSQL or SQLite" in said()


@pytest.mark.parametrize(
    ("changes", "id_", "text"),
    [
        ({}, None, ""),
        ({"transaction_mode": "EXCLUSIVE"}, None, ""),
        ({"init_command": "pragma JOURNAL_MODE = 'wal'; PRAGMA synchronous=1"}, None, ""),
        (
            {"transaction_mode": None},
            "W001",
            'Add to DATABASES[\'checked\']["OPTIONS"]: "transaction_mode": "IMMEDIATE"',
        ),
        ({"transaction_mode": "deferred"}, "W001", "begins transactions as deferred"),
        ({"init_command": None}, "W002", '"init_command": "PRAGMA journal_mode = WAL;'),
        ({"init_command": "PRAGMA journal_mode=DELETE"}, "W002", "is not put into WAL mode"),
        ({"timeout": 1}, "W003", "waits 1 seconds for its turn"),
        ({"timeout": 16}, "W004", "Set 'LEASE' to at least 64, or a shorter timeout"),
    ],
)
def test_sqlite_needs_options_that_the_check_names(sqlite, changes, id_, text):
    """Whoever starts with Django's defaults reads which option to add."""
    sqlite(**GOOD | changes)

    assert found() == ([id_] if id_ else [])
    assert not id_ or text in said()


def test_a_new_project_gets_warnings_and_no_errors(sqlite):
    """``startproject``'s own settings work, with advice."""
    sqlite()

    assert found() == ["W001", "W002"]


def test_an_old_sqlite_is_refused(sqlite, monkeypatch):
    """Its UPDATE has no RETURNING."""
    sqlite(**GOOD)
    monkeypatch.setattr(sqlite3.dbapi2, "sqlite_version_info", (3, 34, 1))

    assert found() == ["E008"]


def test_sqlite_needs_time_zones(sqlite, settings):
    """Django writes no instant to SQLite without USE_TZ, so nothing could be recorded."""
    sqlite(**GOOD)
    settings.USE_TZ = False

    assert "USE_TZ is False" in messages_found()[0].msg
    assert set(found()) == {"E017"}


@pytest.mark.parametrize(("mode", "ids"), [("wal", []), ("delete", ["taskrouting.W002"])])
def test_the_database_is_asked_whether_it_is_in_wal(sqlite, django_db_blocker, mode, ids):
    """A network file system takes the command and stays in its old mode."""
    file = sqlite(**GOOD)
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.close()
    if mode == "delete":  # what such a file system does: the command is there, without effect
        connections["checked"].settings_dict["OPTIONS"]["init_command"] = "-- journal_mode=WAL"

    with django_db_blocker.unblock():
        warnings = databases.sqlite_is_in_wal(None, databases=["checked"])
        connections["checked"].close()

    assert [warning.id for warning in warnings] == ids
    assert databases.sqlite_is_in_wal(None, databases=None) == []


def test_no_database_is_asked_unless_databases_are_checked(sqlite):
    """``check`` alone touches none; ``migrate`` and ``check --database`` do."""
    file = sqlite(**GOOD)

    assert messages_found() == []
    assert not file.exists()
    assert databases.sqlite_is_in_wal.tags == (checks.Tags.database,)
