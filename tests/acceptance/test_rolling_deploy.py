"""Does a deployment lose or double anything while it rolls? Two releases of workers, under load.

In the order that docs/how-to/run-in-production.md gives: the new workers start beside the old ones,
the web follows, the old workers are stopped, what is left over is pruned.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command

from taskrouting.events import Event
from taskrouting.models import AuditLog, DeadLetter, Delivery
from taskrouting.transport.routes import FRESH
from tests.conformance.installation import Installation
from tests.conformance.places import POSTGRES, QUORUM, REDIS
from tests.releases import handlers
from tests.waiting import wait_until

#: Seconds for anything to happen, on a busy machine.
PATIENCE = 120

OLD_KEYS = ("video.upload", "legacy.imported")
NEW_KEYS = ("video.upload", "video.ready", "cover.made")


class Web:
    """The web servers: they publish all the time, whatever is deployed meanwhile."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self._installation = installation
        self._folder = folder
        self.published: list[Event] = []

    def publish_until(
        self, keys: tuple[str, ...], condition: Callable[[], Any], what: str, *, flaky: bool = True
    ) -> None:
        """Publish under ``keys`` in turn until ``condition`` holds; a third fails at first."""
        data: dict[str, str] = {"flaky": str(self._folder)} if flaky else {}
        wanted = cycle((key, some) for some in (data, {}, {}) for key in keys)

        def publish_one() -> Any:
            self.published.append(self._installation.publish(*next(wanted)))
            return condition()

        wait_until(publish_one, timeout=PATIENCE, message=what)

    def ids(self, key: str, since: int = 0) -> set[str]:
        """The ids of what was published under ``key``."""
        return {each.id for each in self.published[since:] if each.type == key}

    def flaky(self, key: str) -> set[str]:
        """The ids of what fails at first."""
        return {each.id for each in self.published if each.type == key and each.data}


class Release:
    """Workers of one release."""

    def __init__(self, name: str, installation: Installation, log: Path) -> None:
        self.log = log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "django", "run_router_worker"],
                env={
                    **installation.environment(),
                    "DJANGO_SETTINGS_MODULE": "tests.releases.settings",
                    "RELEASE": name,
                    "RELEASE_PREFIX": installation.prefix,
                },
                stdout=output,
                stderr=output,
            )

    def says(self, words: str) -> bool:
        """Whether the log has ``words``."""
        return words in self.log.read_text()

    def gone(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None


@contextmanager
def running(name: str, installation: Installation, folder: Path) -> Iterator[Release]:
    """Run the workers of a release for a block, at the longest."""
    release = Release(name, installation, folder / f"{name}.log")
    try:
        yield release
    finally:
        if not release.gone():
            release.process.terminate()
            release.process.wait(PATIENCE)


def effects(alias: str) -> Counter[tuple[str, str]]:
    """How often each handler has run to its end for each event."""
    names = Group.objects.using(alias).values_list("name", flat=True)
    return Counter((name.split()[0], name.split()[1]) for name in names)


def handled_by(alias: str, *names: str) -> set[str]:
    """The ids of the events that one of the subscriptions ``names`` has handled."""
    found = Delivery.objects.using(alias).filter(subscription__in=names, state="handled")
    return set(found.values_list("event_id", flat=True))


def dead(alias: str) -> list[tuple[str, str]]:
    """Every dead letter; there must be none."""
    return list(DeadLetter.objects.using(alias).values_list("reason", "error"))


def deploy(installation: Installation, web: Web, folder: Path) -> int:
    """Deploy the new release while the old one works; return what was published when it was in."""
    alias, prefix = installation.alias, installation.prefix

    def handled(name: str, count: int) -> Callable[[], bool]:
        return lambda: len(handled_by(alias, name)) >= count

    with running("old", installation, folder) as old:
        web.publish_until(OLD_KEYS, handled("index", 20), "the old release to work")
        with running("new", installation, folder) as new:
            web.publish_until(OLD_KEYS, lambda: new.says(" consumes "), "the new workers")
            ready = time.monotonic()
            web.publish_until(OLD_KEYS, lambda: time.monotonic() > ready + FRESH, "its bindings")
            bound = len(web.published)
            handlers.subscribe_release("new", prefix)
            web.publish_until(
                NEW_KEYS,
                lambda: (
                    old.says("left to a worker of another release")
                    and new.says("left to a worker of another release")
                    and handled("cover", 20)()
                    and handled("statistics", 20)()
                ),
                f"both releases to work beside each other; see {folder}",
            )
            only_there = web.ids("legacy.imported") | web.flaky("video.upload")
            web.publish_until(
                NEW_KEYS,
                lambda: handled_by(alias, "legacy", "stats", "statistics") >= only_there,
                "what only the old release can handle",
                flaky=False,
            )
            old.process.terminate()
            web.publish_until(NEW_KEYS, old.gone, "the old release to stop", flaky=False)
            assert old.process.returncode == 0, old.log.read_text()
            web.publish_until(NEW_KEYS, handled("thumbs", len(web.published) // 10), "the new one")
            _settled(installation, web)
            new.process.terminate()
            assert new.process.wait(PATIENCE) == 0, new.log.read_text()
    return bound


def _settled(installation: Installation, web: Web) -> None:
    """Wait until everything is recorded and handled, and nothing waits or runs any more."""
    alias = installation.alias
    unfinished = Delivery.objects.using(alias).exclude(state="handled")
    uploads = web.ids("video.upload")
    wanted = {
        ("index",): uploads | web.ids("video.ready"),
        ("mail",): uploads,
        ("cover",): web.ids("cover.made"),
        ("legacy",): web.ids("legacy.imported"),
        ("stats", "statistics"): uploads,
    }

    def left() -> dict[str, int]:
        return {
            # What waits in a queue of RabbitMQ's is not known to the database yet.
            "unhandled": sum(len(wanted[each] - handled_by(alias, *each)) for each in wanted),
            "unrecorded": len(web.published) - AuditLog.objects.using(alias).count(),
            "waiting": installation.waiting().count(),
            "unfinished": unfinished.count(),
        }

    settled = dict.fromkeys(left(), 0)
    wait_until(lambda: left() == settled or dead(alias), timeout=PATIENCE, message="all to settle")
    assert (left(), dead(alias)) == (settled, [])


@pytest.mark.faults
@pytest.mark.parametrize("place", [POSTGRES, QUORUM, REDIS], indirect=True)
def test_a_rolling_deployment_loses_and_doubles_nothing(
    installation: Installation, tmp_path: Path
) -> None:
    """Every event is handled once by each subscription that wants it; nothing is a dead letter.

    Patterns that widen, a subscription on a queue that is there, one on a queue of its own, a
    handler that moves and keeps its name, one that is renamed, and one that is removed. What is
    renamed is another subscription: each event is handled under one of the two names, at the least.
    """
    alias, prefix = installation.alias, installation.prefix
    # What Redis loses is sent again after five leases. Elsewhere a short lease would only let a
    # busy machine put copies aside under the name that the old release alone knows.
    lease = {"LEASE": 8} if installation.place is REDIS else {}
    installation.configure(AUDIT={"queue": f"{prefix}_audit"}, **lease)
    handlers.subscribe_release("old", prefix)
    web = Web(installation, tmp_path)

    bound = deploy(installation, web, tmp_path)

    done = effects(alias)
    uploads = web.ids("video.upload")
    of = {name: {event for each, event in done if each == name} for name in handlers.KNOWN}
    assert set(done.values()) == {1}
    assert of["index"] == uploads | web.ids("video.ready")
    assert of["mail"] == uploads
    assert of["cover"] == web.ids("cover.made")
    assert of["legacy"] == web.ids("legacy.imported")
    assert of["thumbs"] >= web.ids("video.upload", since=bound)
    assert of["stats"] | of["statistics"] == uploads
    assert AuditLog.objects.using(alias).count() == len(web.published)

    call_command("declare_topology", "--prune")
    call_command("declare_topology", "--check")
