"""Where do faults happen? At an installation on one broker, with workers in real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.contrib.auth.models import Group
from django.db import transaction

from taskrouting import publish_many
from taskrouting.events import Event
from taskrouting.models import Delivery, Message
from tests import processes
from tests.conformance.installation import Installation
from tests.processes import ROOT
from tests.proxy import Proxy, proxy
from tests.waiting import wait_until

from . import handlers

#: Seconds for everything to be handled, on a busy machine.
PATIENCE = 120


class Plant:
    """The installation of ``handlers.py``; its tables are those of its own database."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.alias = installation.alias
        self.folder = folder
        self.log = folder / "log"
        queues = handlers.subscribe_all(installation.prefix)
        installation.adopt(queues)

    def publish(self, events: list[tuple[str, Any]]) -> list[Event]:
        """Publish in one transaction."""
        with transaction.atomic(using=self.alias):
            return publish_many(events, using=self.alias)

    def worker(
        self, name: str, *options: str, env: Mapping[str, str] | None = None
    ) -> AbstractContextManager[processes.Worker]:
        """Run a worker whose log is in a folder called ``name``."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        variables = {**self.environment(), **(env or {})}
        return processes.worker(folder, *options, variables=variables)

    def environment(self) -> dict[str, str]:
        """The environment of its processes."""
        return {
            **self.installation.environment(),
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "FAULTS_PREFIX": self.installation.prefix,
        }

    def deployer(self, *options: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start what deploys a worker again for every line it reads."""
        with open(self.folder / "deployer.log", "wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.faults.deployer", *options],
                env={**self.environment(), **env},
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                text=True,
            )

    @contextmanager
    def door(self) -> Iterator[tuple[Proxy, dict[str, str]]]:
        """A proxy in front of the broker, and the environment that leads through it."""
        if self.installation.broker.can.embedded:
            database = json.loads(self.environment()["DEPOT_DATABASE"])
            with proxy(database["HOST"] or "127.0.0.1", int(database["PORT"] or 5432)) as running:
                through = {**database, "HOST": "127.0.0.1", "PORT": str(running.port)}
                yield running, {"DEPOT_DATABASE": json.dumps(through)}
            return
        url = urlsplit(self.installation.place.url)
        default = 6379 if url.scheme == "redis" else 5672
        with proxy(url.hostname or "127.0.0.1", url.port or default) as running:
            credentials, at, _ = url.netloc.rpartition("@")
            there = url._replace(netloc=f"{credentials}{at}127.0.0.1:{running.port}")
            settings = json.loads(self.environment()["DEPOT_TASKROUTING"])
            settings["BROKER_URL"] = urlunsplit(there)
            yield running, {"DEPOT_TASKROUTING": json.dumps(settings)}

    def deliveries(self, **filters: Any) -> Any:
        """Rows of the ledger."""
        return Delivery.objects.using(self.alias).filter(**filters)

    def waiting(self) -> Any:
        """Rows of the store."""
        return Message.objects.using(self.alias)

    def effects(self) -> list[str]:
        """The ids of the events whose handler wrote its row, one for each time."""
        return list(Group.objects.using(self.alias).values_list("name", flat=True))

    def lines(self, word: str) -> list[list[str]]:
        """The lines of the handlers' log that begin with ``word``: event id, process id."""
        text = self.log.read_text() if self.log.exists() else ""
        return [line.split()[1:] for line in text.splitlines() if line.startswith(word)]

    def wait_for_line(self, word: str, count: int = 1) -> list[list[str]]:
        """Wait until the handlers have written so many lines; return them."""
        return (
            wait_until(
                lambda: len(found := self.lines(word)) >= count and found,
                timeout=PATIENCE,
                message=f"{count} times {word!r}; see {self.folder}",
            )
            or []
        )

    def wait_for_outcomes(self, count: int) -> None:
        """Wait until so many deliveries have an outcome."""
        wait_until(
            lambda: self.deliveries(state__in=["handled", "dead"]).count() >= count,
            timeout=PATIENCE,
            message=f"{count} outcomes; see {self.folder}",
        )
