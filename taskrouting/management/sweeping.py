"""Who works off what operators wish for many dead letters? The process that leads, beside a relay.

It also notes the causes of dead letters that an older release has kept, so that they are grouped.
"""

from __future__ import annotations

import logging
import threading
import time

from django.db import Error as DatabaseError
from django.db import InterfaceError, connections

from taskrouting.consuming.turns import in_turn
from taskrouting.dead_letters import groups
from taskrouting.operators import sweeps
from taskrouting.transport.outage import Outage

logger = logging.getLogger("taskrouting.sweeps")

#: Seconds between two looks at whether a sweep was begun.
LOOK = 1.0

#: Seconds until it is tried again after a fault of ours.
AGAIN = 30.0

#: Seconds between two looks at whether a worker of an older release has kept dead letters.
NAMED = 3600.0


class Sweeper:
    """Takes the steps of sweeps, and waits where there is none to take."""

    def __init__(self) -> None:
        self._outage = Outage("sweeping of dead letters")
        self._named_at: float | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set, through every outage of the database."""
        try:
            while not stop.is_set():
                stop.wait(self._look(stop))
        finally:
            connections.close_all()

    def _look(self, stop: threading.Event) -> float:
        """Do what is due; return for how many seconds to wait."""
        due: float | None = None
        try:
            self._name_causes(stop)
            while not stop.is_set() and (due := sweeps.until_due()) is not None and due <= 0:
                if not sweeps.step():
                    return LOOK  # somebody else takes it
            self._outage.over()
        except (DatabaseError, InterfaceError) as error:
            connections.close_all()
            return self._outage.noticed(error).total_seconds()
        except Exception:  # a fault of ours here must not end a process that has other work
            logger.exception("A sweep could not be gone on with; trying again.")
            return AGAIN
        return LOOK if due is None else min(max(due, 0.0), LOOK)

    def _name_causes(self, stop: threading.Event) -> None:
        if self._named_at is not None and time.monotonic() - self._named_at < NAMED:
            return
        steps = groups.name_causes()
        while not stop.is_set():
            with in_turn():
                if next(steps, None) is None:
                    break
        self._named_at = time.monotonic()
