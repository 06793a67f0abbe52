"""What becomes of a handler that runs too long and that no exception reaches?

Its thread cannot be ended, so the process must be. First the transaction it holds is severed, so
that its locks are free and nothing it still does counts. Then the attempt is recorded as timed
out, on a connection of our own and fenced by the token: should the handler return after all, it
records nothing. Then the worker is asked to make room for a fresh process: it takes nothing more,
and lets the neighbours finish.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from django.db import connections

from taskrouting import log_fields
from taskrouting.context import Handling
from taskrouting.exceptions import HandlerTimeout

from .runs import Run
from .site import Site

logger = logging.getLogger("taskrouting.worker")

Record = Callable[[HandlerTimeout], object]


def giving_up(
    run: Run, record: Record, site: Site, handling: Handling
) -> Callable[[HandlerTimeout], None] | None:
    """How to give ``run`` up; ``None`` where no fresh process would take this one's place."""
    if site.retire is None:
        return None
    return partial(_give_up, run, record, site.retire, handling)


def _give_up(
    run: Run,
    record: Record,
    retire: Callable[[str], None],
    handling: Handling,
    error: HandlerTimeout,
) -> None:
    error.add_note(f"It could not be stopped. This is where it was:\n{run.stack()}")
    try:
        if not run.sever():
            return
        record(error)
    except Exception:
        logger.exception(
            "A handler's timeout could not be recorded; its message comes again.",
            extra=log_fields.while_handling(handling),
        )
    finally:
        connections.close_all()
    run.lost = True
    retire("a handler runs over its timeout and cannot be stopped")
