"""How does a test run workers on an installation's broker? With handlers of tests/limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taskrouting.models import Binding, Delivery
from tests import processes
from tests.conformance.installation import Installation
from tests.waiting import wait_until

#: In ``subscribers.py``, each with a queue of its own.
SUBSCRIPTIONS = 8

#: Seconds for what takes seconds, on a busy machine.
PATIENCE = 120


@contextmanager
def worker(installation: Installation, tmp_path: Path, *options: str) -> Iterator[processes.Worker]:
    """Run a worker of the installation for a block."""
    variables = {
        **installation.environment(),
        "DJANGO_SETTINGS_MODULE": "tests.limits.settings",
        "LIMITS_PREFIX": installation.prefix,
    }
    with processes.worker(tmp_path, *options, variables=variables) as running:
        yield running


def wait_until_bound(installation: Installation) -> None:
    """Wait until what is published reaches its queue; elsewhere the relay waits for that."""
    if installation.broker.can.embedded:
        bindings = Binding.objects.using(installation.alias).filter(exchange=installation.exchange)
        wait_until(
            lambda: bindings.count() == SUBSCRIPTIONS, timeout=PATIENCE, message="the bindings"
        )


def deliveries(installation: Installation, **wanted: Any) -> list[Delivery]:
    """The rows of the ledger."""
    return list(Delivery.objects.using(installation.alias).filter(**wanted).order_by("pk"))


def wait_for_deliveries(installation: Installation, count: int, **wanted: Any) -> list[Delivery]:
    """Wait until so many rows of the ledger are as wanted; return them."""
    wait_until(
        lambda: len(deliveries(installation, **wanted)) == count,
        timeout=PATIENCE,
        message=f"{count} deliveries with {wanted}",
    )
    return deliveries(installation, **wanted)


def lines(path: Path) -> list[list[str]]:
    """The lines that handlers have appended to a log, as words: begin or end, and which one."""
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def begun(log: Path) -> bool:
    """Whether the one handler of a log has begun."""
    return [line[0] for line in lines(log)] == ["begin"]
