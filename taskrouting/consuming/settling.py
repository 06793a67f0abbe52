"""How is a message let go of, when everything about it is committed?"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from taskrouting.transport import signing, store
from taskrouting.transport.messages import Arrival

from . import faults
from .site import Site, database

logger = logging.getLogger("taskrouting.delivery")


def settle(arrival: Arrival, site: Site) -> None:
    """Everything is committed: let the outbox row go, where one waits for us, and acknowledge."""
    settle_all([arrival], site)


def settle_all(arrivals: Sequence[Arrival], site: Site) -> None:
    """Settle messages of one queue.

    A row that cannot go now is sent again; its copy is a duplicate, and lets the row go then.
    """
    named = [signing.row_of(arrival) for arrival in arrivals] if site.kept else []
    if rows := [row for row in named if row is not None]:
        try:
            queue = arrivals[0].queue
            faults.resolutely(lambda: store.received(rows, queue, using=database()))
        except faults.DatabaseAway as error:
            logger.warning("Messages %s will be sent again to be recognised: %s", rows, error)
    for arrival in arrivals:
        site.acknowledge(arrival)
