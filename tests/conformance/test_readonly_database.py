"""What if the database answers, and takes nothing? It is away, as after a failover to a standby."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connections

from taskrouting import subscribe
from taskrouting.consuming import delivery, faults
from taskrouting.consuming.judging import Outcome
from taskrouting.consuming.site import Site
from taskrouting.models import DeadLetter, Delivery
from tests.conformance.installation import Installation
from tests.conformance.places import EMBEDDED, SQLITE
from tests.integration.copies import arrival


def take_writes(installation: Installation, takes: bool) -> None:
    """Let this thread's connection write, or not, as a standby and a full disk do not."""
    if installation.name == SQLITE:
        said = f"PRAGMA query_only = {'OFF' if takes else 'ON'}"
    else:
        said = f"SET default_transaction_read_only = {'off' if takes else 'on'}"
    with connections[installation.alias].cursor() as cursor:
        cursor.execute(said)


@pytest.mark.parametrize("effects", ["database", "external"])
@pytest.mark.parametrize("place", EMBEDDED, indirect=True)
def test_a_database_that_takes_no_writes_is_away(installation: Installation, effects: str) -> None:
    """The message goes back, no handler is charged, and the worker waits until writing works."""
    subscribe("video.#", queue="video_queue", name="video", effects=effects)(lambda event: None)
    here = Site(worker="here", acknowledge=lambda arrival: None)
    take_writes(installation, False)
    try:
        with pytest.raises(faults.DatabaseAway):
            delivery.deliver(arrival(b"{}"), here)
        with pytest.raises(DatabaseError):
            faults.ask_database()
    finally:
        take_writes(installation, True)

    faults.ask_database()
    assert delivery.deliver(arrival(b"{}"), here) == [Outcome.HANDLED]
    row = Delivery.objects.using(installation.alias).get()
    assert (row.attempts, row.crashes) == (1, 0)
    assert not DeadLetter.objects.using(installation.alias).exists()
