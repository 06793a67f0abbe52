"""What does a subscription ask for: how often to try again, and how much at once?

Pure arithmetic: nothing here waits, reads a clock or touches a database.
"""

from __future__ import annotations

import random as chance
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from taskrouting.durations import Duration, as_duration
from taskrouting.exceptions import ConfigurationError

__all__ = ["Batch", "Duration", "Retry", "as_duration"]

Errors = type[BaseException] | tuple[type[BaseException], ...]

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, init=False)
class Retry:
    """When a handler fails: which errors are tried again, how often and after how long.

    The defaults spread ten attempts over 21 to 43 minutes, not seconds, so that a mail server that
    is away for ten minutes kills nothing.
    """

    #: How often the handler may start; the first attempt is counted.
    max_attempts: int

    #: The wait after the first attempt; it doubles from there.
    base: timedelta

    #: The longest wait between two attempts.
    ceiling: timedelta

    #: Errors that are worth another attempt.
    retry_on: tuple[type[BaseException], ...]

    #: Errors that are not, even where ``retry_on`` names them too.
    reject_on: tuple[type[BaseException], ...]

    def __init__(
        self,
        max_attempts: int = 10,
        base: Duration = 5,
        ceiling: Duration = 3600,
        retry_on: Errors = (Exception,),
        reject_on: Errors = (),
    ) -> None:
        """Take ``base`` and ``ceiling`` in seconds or as ``timedelta``.

        Raises ConfigurationError naming the argument and its value.
        """
        vars(self).update(  # the fields are frozen for everyone but their constructor
            max_attempts=_at_least_one(max_attempts, "Retry(max_attempts=)"),
            base=as_duration(base, "Retry(base=)"),
            ceiling=as_duration(ceiling, "Retry(ceiling=)"),
            retry_on=_errors(retry_on, "Retry(retry_on=)"),
            reject_on=_errors(reject_on, "Retry(reject_on=)"),
        )
        if self.base > self.ceiling:
            raise ConfigurationError(
                f"Retry(base={base!r}) is longer than its ceiling, {ceiling!r}; raise ceiling=."
            )

    def next_delay(self, attempt: int, random: Callable[[], float] = chance.random) -> timedelta:
        """How long to wait after ``attempt`` (1 is the first) failed.

        Doubles from ``base`` to ``ceiling``, then takes a random point between half of that and
        all of it, so that a thousand failures do not return together.

        Raises ValueError when ``attempt`` is below 1.
        """
        if attempt < 1:
            raise ValueError(f"attempt is {attempt!r}; the first is 1.")
        return self._full_delay(attempt) * (0.5 + random() / 2)

    def allows(self, error: BaseException, attempt: int) -> bool:
        """Tell whether to try again after ``attempt`` (1 is the first) ended in ``error``."""
        return (
            attempt < self.max_attempts
            and isinstance(error, self.retry_on)
            and not isinstance(error, self.reject_on)
        )

    def _full_delay(self, attempt: int) -> timedelta:
        """Double in whole microseconds, which neither overflow nor lose their end."""
        base, ceiling = self.base // _MICROSECOND, self.ceiling // _MICROSECOND
        doublings = min(attempt - 1, ceiling.bit_length())  # more than these pass any ceiling
        return timedelta(microseconds=min(base << doublings, ceiling))


@dataclass(frozen=True, init=False)
class Batch:
    """Hand the handler a list of events: up to ``size``, or what came within ``wait``."""

    #: The most events that one call may get.
    size: int

    #: How long the first event of a batch may wait for others.
    wait: timedelta

    def __init__(self, size: int = 500, wait: Duration = 0.05) -> None:
        """Take ``wait`` in seconds or as ``timedelta``.

        Raises ConfigurationError naming the argument and its value.
        """
        vars(self).update(  # the fields are frozen for everyone but their constructor
            size=_at_least_one(size, "Batch(size=)"), wait=as_duration(wait, "Batch(wait=)")
        )


def _at_least_one(value: object, name: str) -> int:
    """Read ``value`` as a count."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} is {value!r}; give a whole number of at least 1.")
    return value


def _errors(value: object, name: str) -> tuple[type[BaseException], ...]:
    """Read ``value``, one exception class or several, as a tuple of them."""
    classes = tuple(value) if isinstance(value, tuple | list) else (value,)
    for each in classes:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise ConfigurationError(f"{name} holds {each!r}; give exception classes.")
    return classes
