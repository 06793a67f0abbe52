"""Who looks, and who is told? Decided by conditional updates, so by one process of all hosts.

All times are the database's: hosts may disagree about theirs.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from taskrouting import conf

from .models import Alarm

#: The row that says when somebody last looked.
TURN = "turn"

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

#: How soon an alert is told again that nobody could be told.
RETRY = timedelta(minutes=5)


def take_turn(every: timedelta) -> bool:
    """Say whether it is for this process to look, for nobody has for so long."""
    _insert(TURN, "", told_at=LONG_AGO)
    return bool(_alarm(TURN).filter(told_at__lte=Now() - every).update(told_at=Now()))


def to_tell(kind: str, subject: str, cooldown: timedelta) -> bool:
    """Say whether to tell that a limit is passed; then nobody is told again within ``cooldown``."""
    _insert(kind, subject)
    due = Q(told_at=None) | Q(told_at__lte=Now() - cooldown)
    found = _alarm(kind, subject).filter(due)
    return bool(found.update(told_at=Now(), raised_at=Coalesce("raised_at", Now())))


def to_recover(kind: str, subject: str) -> bool:
    """Say whether to tell that it is over: only who heard of it is told."""
    raised = _alarm(kind, subject).filter(raised_at__isnull=False)
    return bool(raised.update(raised_at=None))


def keep(kind: str, subject: str) -> None:
    """Let it be told once more that it is over, since that reached nobody."""
    _alarm(kind, subject).update(raised_at=Now())


def tell_soon(kind: str, subject: str, cooldown: timedelta) -> None:
    """Let an alert be told again soon, since it reached nobody."""
    _alarm(kind, subject).update(told_at=Now() - cooldown + min(RETRY, cooldown))


def raised() -> list[tuple[str, str]]:
    """The kind and subject of everything that was told and is not over."""
    rows = _alarms().filter(raised_at__isnull=False)
    return list(rows.values_list("kind", "subject"))


def heard(kind: str, subject: str, *, mark: int, anything: bool) -> timedelta:
    """Note how far a queue was looked at, and whether anything had come to it.

    Returns for how long nothing has.
    """
    _insert(kind, subject, mark=mark)
    changes: dict[str, Any] = {"heard_at": Now()} if anything else {}
    row = _alarm(kind, subject)
    row.update(mark=mark, **changes)
    now, heard_at = row.annotate(now=Now()).values_list("now", "heard_at").get()
    silent: timedelta = now - heard_at
    return silent


def mark_of(kind: str, subject: str) -> int | None:
    """How far a queue was looked at before; ``None``: never."""
    mark: int | None = _alarm(kind, subject).values_list("mark", flat=True).first()
    return mark


def _insert(kind: str, subject: str, **values: Any) -> None:
    if not _alarm(kind, subject).exists():
        row = Alarm(kind=kind, subject=subject, **values)
        _alarms().bulk_create([row], ignore_conflicts=True)


def _alarm(kind: str, subject: str = "") -> Any:
    return _alarms().filter(kind=kind, subject=subject)


def _alarms() -> Any:
    return Alarm.objects.using(conf.current().database)
