"""Are the databases there, and are they set up so that writers wait for each other?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.db import connections, router
from django.utils import timezone

from taskrouting import conf
from taskrouting.exceptions import ConfigurationError
from taskrouting.models import Message

from .registering import check

SUPPORTED = ("postgresql", "sqlite")

#: For ``UPDATE ... RETURNING``.
OLDEST_SQLITE = (3, 35)

#: Seconds that SQLite waits for its turn to write unless ``OPTIONS["timeout"]`` says.
SQLITE_TIMEOUT = 5.0

#: A lease is renewed three times in its length, and each time may have to wait its turn.
WAITS_PER_LEASE = 4

WAL = re.compile(r"journal_mode\s*[=(]\s*['\"]?wal\b", re.IGNORECASE)

INIT_COMMAND = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"


def aliases(settings: conf.Settings) -> list[str]:
    """The databases we use that there are."""
    return [alias for alias in settings.databases if alias in connections]


@check
def aliases_exist(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E006: the first query would fail."""
    named = [("DATABASE", settings.database)]
    named += [("OUTBOX_DATABASES", alias) for alias in settings.outbox_databases]
    for key, alias in named:
        if alias not in connections:
            yield Error(
                f"TASKROUTING[{key!r}] names the database {alias!r}; DATABASES has "
                f"{', '.join(repr(known) for known in connections)}.",
                id="taskrouting.E006",
            )


@check
def databases_are_supported(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E007: claims are written in the SQL of two databases."""
    for alias in aliases(settings):
        vendor = connections[alias].vendor
        if vendor not in SUPPORTED:
            yield Error(
                f"The database {alias!r} is {vendor}; taskrouting keeps its tables in PostgreSQL "
                "or SQLite.",
                hint="Name another in TASKROUTING['DATABASE'] and ['OUTBOX_DATABASES'].",
                id="taskrouting.E007",
            )


@check
def sqlite_is_new_enough(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E008: SQLite learned RETURNING in 3.35."""
    wrappers: list[Any] = [connections[alias] for alias in _sqlite(settings)]
    drivers = [wrapper.Database for wrapper in wrappers]
    if drivers and drivers[0].sqlite_version_info < OLDEST_SQLITE:
        yield Error(
            f"SQLite is {drivers[0].sqlite_version}; taskrouting needs 3.35 or later.",
            hint="It comes with Python; install a newer Python, or use PostgreSQL.",
            id="taskrouting.E008",
        )


@check
def router_chooses_an_outbox(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E009: ``publish()`` without ``using=`` would raise."""
    alias = router.db_for_write(Message)
    if alias not in (settings.database, *settings.outbox_databases):
        yield Error(
            f"The database router writes taskrouting.Message to {alias!r}, which is no outbox.",
            hint=f"Add {alias!r} to TASKROUTING['OUTBOX_DATABASES'], or change DATABASE_ROUTERS.",
            id="taskrouting.E009",
        )


@check
def router_lets_tables_be_made(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E010: ``migrate`` would leave our tables out."""
    for alias in aliases(settings):
        if not router.allow_migrate_model(alias, Message):
            yield Error(
                f"The database router keeps the tables of taskrouting out of {alias!r}, where "
                "TASKROUTING['DATABASE'] or ['OUTBOX_DATABASES'] wants them.",
                hint="Let allow_migrate() of DATABASE_ROUTERS return None for 'taskrouting'.",
                id="taskrouting.E010",
            )


@check
def instants_can_be_kept(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E017: the time of an event is an instant, which Django would refuse to write."""
    for alias in aliases(settings):
        if timezone.is_naive(timezone.now()) and not connections[alias].features.supports_timezones:
            yield Error(
                f"USE_TZ is False, and without it the database {alias!r} takes no instants.",
                hint="Set USE_TZ = True.",
                id="taskrouting.E017",
            )


@check
def sqlite_writers_take_turns(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W001: a transaction that reads and then writes fails at once where another has written."""
    for alias in _sqlite(settings):
        mode = _options(alias).get("transaction_mode") or "DEFERRED"
        if mode.upper() not in ("IMMEDIATE", "EXCLUSIVE"):
            yield Warning(
                f"The SQLite database {alias!r} begins transactions as {mode}: with workers "
                "beside you, some will fail with 'database is locked'.",
                hint=_add(alias, '"transaction_mode": "IMMEDIATE"'),
                id="taskrouting.W001",
            )


@check
def sqlite_is_asked_for_wal(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W002: without WAL, whoever reads keeps others from writing."""
    for alias in _sqlite(settings):
        if not WAL.search(_options(alias).get("init_command") or ""):
            yield Warning(
                f"The SQLite database {alias!r} is not put into WAL mode: readers and the writer "
                "stop each other.",
                hint=_add(alias, f'"init_command": "{INIT_COMMAND}"'),
                id="taskrouting.W002",
            )


@check
def sqlite_waits(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W003: whoever waits for less gives up under ordinary load."""
    for alias in _sqlite(settings):
        if _timeout(alias) < SQLITE_TIMEOUT:
            yield Warning(
                f"The SQLite database {alias!r} waits {_timeout(alias):g} seconds for its turn "
                "to write.",
                hint=_add(alias, f'"timeout": {SQLITE_TIMEOUT:g}'),
                id="taskrouting.W003",
            )


@check
def lease_outlasts_the_wait(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W004: a heartbeat that waits its turn would come too late."""
    longest = max((_timeout(alias) for alias in _sqlite(settings)), default=0.0)
    if settings.lease.total_seconds() < WAITS_PER_LEASE * longest:
        yield Warning(
            f"TASKROUTING['LEASE'] is {settings.lease.total_seconds():g} seconds, and SQLite may "
            f"wait {longest:g} seconds for its turn: a worker may lose its work while it waits.",
            hint=f"Set 'LEASE' to at least {WAITS_PER_LEASE * longest:g}, or a shorter timeout.",
            id="taskrouting.W004",
        )


@check
def postgresql_can_wake(settings: conf.Settings) -> Iterator[CheckMessage]:
    """I001: it works, and costs a query every 25 ms."""
    for alias in aliases(settings):
        if connections[alias].vendor == "postgresql" and not _has_psycopg_3():
            yield Info(
                f"PostgreSQL cannot wake workers on {alias!r} by psycopg 2; they look every 25 ms.",
                hint="pip install 'psycopg[binary]' (psycopg 3).",
                id="taskrouting.I001",
            )


@register(Tags.database)
def sqlite_is_in_wal(
    app_configs: object, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """W002, by asking: some file systems do not let SQLite do what it is asked for."""
    try:
        ours = _sqlite(conf.current())
    except ConfigurationError:
        return []  # E001 says it
    return [
        Warning(
            f"The SQLite database {alias!r} is in journal mode {mode!r}, though it is asked for "
            "WAL; a network file system cannot do it.",
            hint="Put the database on a local disk, or use PostgreSQL.",
            id="taskrouting.W002",
        )
        for alias in ours
        if alias in (databases or ()) and WAL.search(_options(alias).get("init_command") or "")
        if (mode := _journal_mode(alias)) != "wal"
    ]


def _sqlite(settings: conf.Settings) -> list[str]:
    """Those of our databases that are SQLite files; one in memory has a single process."""
    return [
        alias
        for alias in aliases(settings)
        if connections[alias].vendor == "sqlite" and not connections[alias].is_in_memory_db()  # type: ignore[attr-defined]  # SQLite's wrapper
    ]


def _options(alias: str) -> dict[str, Any]:
    return connections[alias].settings_dict.get("OPTIONS") or {}


def _timeout(alias: str) -> float:
    return float(_options(alias).get("timeout", SQLITE_TIMEOUT))


def _add(alias: str, option: str) -> str:
    return f'Add to DATABASES[{alias!r}]["OPTIONS"]: {option}'


def _journal_mode(alias: str) -> str:
    with connections[alias].cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        return str(cursor.fetchone()[0])


def _has_psycopg_3() -> bool:
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    return is_psycopg3
