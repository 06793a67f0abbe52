"""When did a delivery run, and how did each attempt end? As far as the ledger remembers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from taskrouting import masking
from taskrouting.models import Delivery

from . import shown
from .searching import as_django_keeps_it

State = Delivery.State

#: The newest attempts of one delivery that are drawn.
MOST = 20


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of a handler."""

    number: int
    began: datetime
    ended: datetime | None
    #: A state, as ``shown.SIGNS`` has them: failed attempts are ``dead``.
    state: str
    worker: str
    what: str = ""


def of(delivery: Delivery) -> list[Attempt]:
    """Return the attempts of a delivery, the oldest first."""
    failed = [] if "errors" in delivery.get_deferred_fields() else list(_failed(delivery))
    known = {attempt.number for attempt in failed}
    if delivery.state in (State.HANDLED, State.RUNNING) or delivery.attempts not in known:
        failed += _last(delivery)
    return failed[-MOST:]


def duration_of(delivery: Delivery) -> str:
    """Say how long the last attempt of a delivery took."""
    if delivery.started_at is None or delivery.finished_at is None:
        return shown.NOTHING
    return shown.duration(delivery.finished_at - delivery.started_at)


def errors_of(delivery: Delivery) -> list[dict[str, Any]]:
    """Return what went wrong in each attempt that the ledger remembers."""
    return [
        {
            "attempt": error.get("attempt"),
            "started": shown.instant_of(error.get("started")),
            "duration": shown.duration(error.get("duration")),
            "worker": error.get("worker"),
            "what": _what(error),
            "traceback": masking.hidden_in_text(str(error.get("traceback"))),
        }
        for error in _remembered(delivery)
    ]


def _remembered(delivery: Delivery) -> list[dict[str, Any]]:
    errors = delivery.errors if isinstance(delivery.errors, list) else []
    return [error for error in errors if isinstance(error, dict)]


def _what(error: dict[str, Any]) -> str:
    return masking.hidden_in_text(f"{error.get('exception')}: {error.get('message')}")


def _failed(delivery: Delivery) -> Iterator[Attempt]:
    """Read the attempts that failed; one without a time that can be read is not drawn."""
    for error in _remembered(delivery):
        try:
            began = datetime.fromisoformat(str(error.get("started")))
            lasted = timedelta(seconds=float(error.get("duration") or 0))
            number = int(error.get("attempt") or 0)
        except (TypeError, ValueError, OverflowError):
            continue
        began = as_django_keeps_it(began)
        worker = str(error.get("worker") or "")
        yield Attempt(number, began, began + lasted, State.DEAD, worker, _what(error))


def _last(delivery: Delivery) -> list[Attempt]:
    """Return the attempt that runs, or the one that ended last; none where it waits."""
    running = delivery.state == State.RUNNING
    ended = None if running else delivery.finished_at
    if delivery.started_at is None or not (running or ended):
        return []
    number = max(delivery.attempts + running, 1)
    return [Attempt(number, delivery.started_at, ended, delivery.state, delivery.worker)]
