"""What does every command of ours do about what goes wrong? It says so in one sentence."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import connections

from taskrouting import conf
from taskrouting.exceptions import BrokerUnavailable, ConfigurationError, TaskroutingError
from taskrouting.transport import store


class RouterCommand(BaseCommand):
    """A command that ends with a sentence where it would end with a traceback."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run; raise CommandError for what is wrong with settings, database or broker."""
        try:
            return super().execute(*args, **options)
        except (DatabaseError, BrokerUnavailable) as error:  # the database may be the broker
            raise CommandError(unmigrated() or _sentence(error)) from error
        except TaskroutingError as error:
            raise CommandError(str(error)) from error


def refuse_unmigrated() -> None:
    """Raise ConfigurationError where somebody forgot to migrate."""
    if fault := unmigrated():
        raise ConfigurationError(fault)


def unmigrated() -> str:
    """Say which of our databases lacks our tables; empty if none does, or it is away itself."""
    for alias in aliases():
        try:
            tables = connections[alias].introspection.table_names()
        except DatabaseError:
            continue
        if store.TABLE not in tables:
            command = "migrate" if alias == "default" else f"migrate --database {alias}"
            return (
                f"The tables of taskrouting are not in database {alias!r}. Run: manage.py {command}"
            )
    return ""


def aliases() -> list[str]:
    """The databases whose outbox is emptied; retries and leases live in the central one."""
    return conf.current().databases


def _sentence(error: Exception) -> str:
    if isinstance(error, TaskroutingError):
        return str(error)
    return f"The database could not be asked: {str(error).strip()} (Run migrate?)"
