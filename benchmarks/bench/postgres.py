"""What do we ask PostgreSQL? To make and drop databases, and how many rows there are."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql


def create(server: str, name: str, template: str = "template1") -> None:
    """Make a database, by copying another one."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))


def drop(server: str, pattern: str) -> None:
    """Drop the databases whose names are like ``pattern``."""
    with psycopg.connect(server, autocommit=True) as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s",
                                   [pattern.replace("_", r"\_")])  # fmt: skip
        for (name,) in found.fetchall():
            statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(statement.format(sql.Identifier(name)))


def exists(server: str, name: str) -> bool:
    """Whether there is such a database."""
    with psycopg.connect(server, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        return found.fetchone() is not None


class Database:
    """One open connection that looks on."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)

    def number(self, query: str, *values: Any) -> int:
        """Return the one number that a query of ours asks for."""
        row = self._connection.execute(query.encode(), values or None).fetchone()
        return int(row[0] or 0) if row else 0

    def execute(self, statement: str) -> None:
        """Run a statement of ours."""
        self._connection.execute(statement.encode())

    def close(self) -> None:
        """Leave."""
        self._connection.close()
