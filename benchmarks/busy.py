"""Where is a worker measured that has more to do than it can? In a database that only it has."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import django
from django.conf import settings

from project import environment

from .chaos import servers

QUEUE = "busy_queue"

#: Events published at once.
TOGETHER = 1000


@contextmanager
def database(name: str) -> Iterator[str]:
    """The URL of an empty database that is gone afterwards: ``"postgres"`` or ``"sqlite"``."""
    if name == "postgres":
        with servers.running(servers.Postgres) as server:
            yield server.url
    else:
        with tempfile.TemporaryDirectory(prefix="busy-") as folder:
            yield f"sqlite:///{folder}/busy.sqlite3"


def configure(url: str, handle: Callable[[Any], None]) -> None:
    """Set Django up with one subscription, whose handler is ``handle``."""
    settings.configure(
        DATABASES={"default": environment.database(url)},
        INSTALLED_APPS=["django.contrib.contenttypes", "taskrouting"],
        TASKROUTING={"SOURCE": "benchmarks", "AUDIT": {"queue": None}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SECRET_KEY="known to everyone, for it guards nothing",  # noqa: S106
        USE_TZ=True,
        LOGGING_CONFIG=None,
    )
    django.setup()
    from taskrouting import subscribe

    subscribe("busy.#", queue=QUEUE, name="busy")(handle)


def publish(events: int) -> None:
    """Give the worker something to do: so many events, in whole thousands."""
    from taskrouting import publish_many

    for _ in range(events // TOGETHER):
        publish_many([("busy.one", {"number": number}) for number in range(TOGETHER)])
