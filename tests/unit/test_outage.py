"""How soon do we try again? Within a moment at first, and never later than is promised."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError

from taskrouting.exceptions import BrokerUnavailable
from taskrouting.transport.outage import Outage

#: Broker and database: within so long after their return everything goes on.
PROMISED = timedelta(seconds=5)

FAULTS = [BrokerUnavailable("refused"), OperationalError("refused")]


@pytest.mark.parametrize("fault", FAULTS, ids=["broker", "database"])
def test_however_long_it_was_away_we_are_back_within_five_seconds(fault):
    """The wait before a try, and the mercy for those who are coming back too, fit into them."""
    outage = Outage("test")

    delays = [outage.noticed(fault) for _ in range(1000)]

    assert max(delays) + timedelta(seconds=outage.mercy) <= PROMISED


def test_a_short_outage_is_over_soon_and_a_long_one_is_asked_about_seldom():
    """Half a second at the most before the second try; a second at the least in the long run."""
    outage = Outage("test")

    delays = [outage.noticed(FAULTS[0]) for _ in range(20)]

    assert delays[0] <= timedelta(seconds=0.5)
    assert min(delays[10:]) >= timedelta(seconds=1)


def test_what_fails_again_at_once_is_asked_about_as_seldom_as_before():
    """A server that comes for a moment and goes again is not besieged."""
    outage = Outage("test")
    for _ in range(20):
        outage.noticed(FAULTS[0])

    outage.over()

    assert outage.noticed(FAULTS[0]) >= timedelta(seconds=1)


def test_only_a_database_that_was_away_is_a_reason_for_mercy():
    """Leases lapse while the database is away; a broker's absence lets nothing lapse."""
    broker, database = Outage("broker"), Outage("database")

    broker.noticed(FAULTS[0])
    database.noticed(FAULTS[1])

    assert broker.mercy == 0 < database.mercy
    database.over()
    assert database.mercy == 0
