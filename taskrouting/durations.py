"""How long is that? Users give seconds or a ``timedelta``; we keep a ``timedelta``."""

from __future__ import annotations

from datetime import timedelta

from taskrouting.exceptions import ConfigurationError

Duration = timedelta | float | int


def as_duration(value: object, name: str) -> timedelta:
    """Read ``value`` (seconds, or a ``timedelta``) as a duration that is not negative.

    Raises ConfigurationError naming ``name`` and the value: give seconds or a ``timedelta``.
    """
    try:
        duration = value if isinstance(value, timedelta) else timedelta(seconds=_number(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigurationError(f"{name} is {value!r}; give seconds or a timedelta.") from error
    if duration < timedelta(0):
        raise ConfigurationError(f"{name} is {value!r}; a duration cannot be negative.")
    return duration


def _number(value: object) -> float:
    """Refuse what ``timedelta`` would take for a number although nobody means one by it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{type(value).__name__} is no number")
    return value
