"""When does somebody look, and what follows? Every half minute one process of all hosts does."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connections

from taskrouting import conf

from . import alarms, telling
from .measuring import Measure, measures

logger = logging.getLogger("taskrouting.alerts")

#: How often somebody looks.
EVERY = timedelta(seconds=30)

#: Seconds between two looks at whose turn it is.
ASKING = 10.0


def watch(stop: threading.Event) -> None:
    """Look, whenever it is our turn, until ``stop`` is set. Nothing that fails here ends it."""
    while not stop.wait(ASKING):
        try:
            if alarms.take_turn(EVERY):
                look()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Alerts cannot be looked at: %s", str(error).strip())
        except Exception:
            logger.exception("Alerts could not be looked at.")
        connections.close_all()  # it has nothing to do until then


def look() -> None:
    """Measure everything that has a limit; tell of what has passed it, and what has not again."""
    known = alarms.raised()
    for measure in measures(conf.current().alerts):
        key = (measure.kind, measure.subject)
        if measure.passed:
            _raise(measure)
        elif key in known and alarms.to_recover(*key) and not _tell(measure, over=True):
            alarms.keep(*key)


def _raise(measure: Measure) -> None:
    cooldown = conf.current().alerts.cooldown
    due = alarms.to_tell(measure.kind, measure.subject, cooldown)
    if due and not _tell(measure, over=False):
        alarms.tell_soon(measure.kind, measure.subject, cooldown)


def _tell(measure: Measure, *, over: bool) -> bool:
    """Tell of it; what comes of a receiver that fails is logged, and harms nobody."""
    alert = telling.alert_of(measure, over=over)
    logger.warning("%s", alert.sentence)
    try:
        telling.tell(alert)
    except Exception:
        logger.exception("The alert reached nobody: %s", alert.sentence)
        return False
    return True
