"""Does the whole journey work on every transport? From the transaction to the audit log.

Real workers do the work, with a relay beside them: two processes, and one for memory://, whose
messages another process would not see.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import transaction

from taskrouting.events import Event
from taskrouting.models import AuditLog, DeadLetter, Delivery
from tests.conformance.installation import Installation
from tests.journey import handlers
from tests.waiting import wait_until

#: Seconds for everything to be handled, on a busy machine.
PATIENCE = 180


@contextmanager
def working(installation: Installation, log: Path) -> Iterator[None]:
    """Run the worker command for a block; SIGTERM must end it with exit code 0."""
    processes = "2" if installation.broker.can.shared else "1"
    command = [sys.executable, "-m", "django", "run_router_worker", "--processes", processes]
    environment = {
        **installation.environment(),
        "DJANGO_SETTINGS_MODULE": "tests.journey.settings",
        "JOURNEY_PREFIX": installation.prefix,
    }
    with open(log, "wb") as output:
        worker = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield
        worker.terminate()
        assert worker.wait(PATIENCE) == 0, log.read_text()
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


def publish_some(installation: Installation) -> list[Event]:
    """Publish in transactions, some of which are rolled back; return what was committed."""
    publish, alias = installation.publish, installation.alias
    with transaction.atomic(using=alias):
        committed = [publish("video.upload", {"n": number}) for number in range(10)]
        with transaction.atomic(using=alias):
            publish("video.upload", {"never": "its savepoint is rolled back"})
            transaction.set_rollback(True, using=alias)
    with transaction.atomic(using=alias):
        publish("user.login", {"never": "its transaction is rolled back"})
        transaction.set_rollback(True, using=alias)
    return [
        *committed,
        *(publish("video.ready", {"n": number}) for number in range(3)),
        *(publish("user.login", {"n": number}) for number in range(5)),
        publish("video.refused", {}),
        publish("video.flaky", {"fails_at_first": "journey.watch"}),
        publish("video.ready", {"fails_at_first": "journey.mail"}),
    ]


def expected_deliveries(events: list[Event]) -> Counter[tuple[str, str, str]]:
    """Say which delivery, in which state, each event must have: one row each."""
    rows = [
        (event.id, "journey.watch", "dead" if event.type == "video.refused" else "handled")
        for event in events
        if event.type.startswith("video.")
    ]
    mails = [
        (event.id, "journey.mail", "handled") for event in events if event.type == "video.ready"
    ]
    return Counter([*rows, *mails])


def rows(model: Any, alias: str, *columns: str) -> Counter[tuple[Any, ...]]:
    """Count the rows of a table by some of its columns."""
    return rows_of(model.objects.using(alias), *columns)


def rows_of(found: Any, *columns: str) -> Counter[tuple[Any, ...]]:
    """Count what was found by some of its columns."""
    return Counter(found.values_list(*columns))


def test_every_committed_event_is_handled_once_and_recorded_once(
    installation: Installation, tmp_path: Path
) -> None:
    """Committed: one audit row, and one HANDLED delivery per subscription. Rolled back: nothing.

    What fails is retried and handled; what is rejected is dead, and kept; what no video handler
    subscribes to is in the audit log alone.
    """
    alias = installation.alias
    installation.configure(**handlers.subscribe_all(installation.prefix))
    with working(installation, tmp_path / "worker.log"):
        events = publish_some(installation)
        deliveries = expected_deliveries(events)
        wait_until(
            lambda: (
                AuditLog.objects.using(alias).count() >= len(events)
                and rows(Delivery, alias, "event_id", "subscription", "state") == deliveries
                and not installation.waiting().exists()
            ),
            timeout=PATIENCE,
            message="every event to be handled and recorded, and nothing to wait any more",
        )

    recorded = rows(AuditLog, alias, "event_id", "routing_key")
    assert recorded == Counter((event.id, event.type) for event in events)
    assert rows(Delivery, alias, "event_id", "subscription", "state") == deliveries
    retried = Delivery.objects.using(alias).filter(attempts=2, state="handled")
    assert rows_of(retried, "routing_key", "subscription") == {
        ("video.flaky", "journey.watch"): 1,
        ("video.ready", "journey.mail"): 1,
    }
    letter = DeadLetter.objects.using(alias).get()
    assert (letter.reason, letter.routing_key) == ("rejected", "video.refused")
