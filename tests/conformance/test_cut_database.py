"""What if the connection to the database is cut in the middle, and a new one works at once?

Django opens the new one as it leaves the transaction, so that the error looks like the handler's.
"""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from django.db import connections, transaction

from taskrouting import subscribe
from taskrouting.consuming import delivery
from taskrouting.consuming.faults import DatabaseAway
from taskrouting.consuming.judging import Outcome
from taskrouting.consuming.site import Site
from taskrouting.models import DeadLetter, Delivery, Message
from tests.conformance.installation import Installation
from tests.conformance.places import POSTGRES
from tests.integration.copies import arrival

pytestmark = pytest.mark.parametrize("place", [POSTGRES], indirect=True)


def cut(alias: str) -> None:
    """End this thread's connection from the server's side, as a restart of the server does."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    parameters = connections[alias].get_connection_params()
    known = {
        key: parameters[key] for key in ("host", "port", "user", "dbname") if key in parameters
    }
    with psycopg.connect(**known, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def cutting_once(installation: Installation, effects: str) -> Callable[[object], None]:
    """Subscribe a handler whose connection is cut the first time that it runs."""
    runs: list[object] = []

    @subscribe("video.#", queue="video_queue", name="cut", effects=effects)
    def handle(event: object) -> None:
        runs.append(event)
        with transaction.atomic(using=installation.alias):
            if len(runs) == 1:
                cut(installation.alias)
            Message.objects.using(installation.alias).exists()

    return handle


@pytest.mark.parametrize("redelivered", [False, True])
def test_a_cut_connection_is_no_attempt(installation: Installation, redelivered: bool) -> None:
    """What the cut interrupts runs again, as if it had not begun."""
    cutting_once(installation, "database")
    here = Site(worker="here", acknowledge=lambda arrival: None)
    copy = arrival(b"{}", redelivered=redelivered)

    if redelivered:  # a suspect: its copy waits in the store
        assert delivery.deliver(copy, here) == [Outcome.SNOOZED]
    else:
        with pytest.raises(DatabaseAway):
            delivery.deliver(copy, here)
        assert delivery.deliver(copy, here) == [Outcome.HANDLED]

    row = Delivery.objects.using(installation.alias).get()
    assert (row.attempts, row.crashes, row.errors) == (0 if redelivered else 1, 0, [])
    assert not DeadLetter.objects.using(installation.alias).exists()


def test_a_cut_connection_is_no_attempt_of_an_external_handler(installation: Installation) -> None:
    """Its outcome is that it will run again soon, uncounted."""
    cutting_once(installation, "external")
    here = Site(worker="here", acknowledge=lambda arrival: None)

    assert delivery.deliver(arrival(b"{}"), here) == [Outcome.SNOOZED]

    row = Delivery.objects.using(installation.alias).get()
    assert (row.state, row.attempts, row.crashes, row.errors) == ("pending", 0, 0, [])


def test_a_cut_while_claiming_costs_no_message(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim fails on a dead connection: the message goes back, and is no dead letter."""
    from taskrouting.consuming import claims

    cutting_once(installation, "external")
    claim = claims.claim

    def claim_on_a_dead_connection(*given: object) -> object:
        monkeypatch.setattr(claims, "claim", claim)
        cut(installation.alias)
        return claim(*given)  # type: ignore[arg-type]  # what was given

    monkeypatch.setattr(claims, "claim", claim_on_a_dead_connection)
    with pytest.raises(DatabaseAway):
        delivery.deliver(arrival(b"{}"), Site(worker="here", acknowledge=lambda arrival: None))

    assert not DeadLetter.objects.using(installation.alias).exists()
    assert not Delivery.objects.using(installation.alias).exists()
