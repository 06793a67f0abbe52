"""What does taskrouting raise on purpose, and who must act on it?

    TaskroutingError
    ├── ConfigurationError      a setting, a subscription or the topology is wrong; fix the code
    ├── InvalidRoutingKey       no event can be published under this key
    ├── InvalidPattern          no routing key can match this pattern
    ├── InvalidEventData        an event holds what JSON or the database refuses
    ├── InvalidEnvelope         bytes arrived that are no event
    ├── NotAccepted             bytes arrived of a content type that we do not read, or unsigned
    ├── BrokerUnavailable       a fault of the installation: wait and try again, nothing is charged
    │   └── BrokerBlocked       it is there, and short of memory or disk space
    ├── ConsumerDeaf            nothing arrives in this process, whatever it does; replace it
    ├── TopologyConflict        a queue or exchange exists with other arguments
    ├── HandlerTimeout          a handler ran longer than its ``timeout``; a failed attempt
    ├── LeaseLost               another worker runs this delivery now; nothing was recorded
    └── CannotRedrive           a dead letter cannot go round again; the message says what to do

    Verdict                     what a handler may raise to decide its own fate
    ├── Snooze                  not now: again after a delay, no attempt is counted
    ├── Reject                  never: dead-letter now, trying again is useless
    └── Discard                 done on purpose: there is nothing to do

    StrayWriteWarning           a database handler wrote where its outcome does not commit

A verdict is a decision, not an error, and has its own root, so that an
``except TaskroutingError`` in a handler never eats it.
"""

from __future__ import annotations

from datetime import timedelta

from django.core.exceptions import ImproperlyConfigured


class TaskroutingError(Exception):
    """Every error that taskrouting raises on purpose."""


class ConfigurationError(TaskroutingError, ImproperlyConfigured):
    """A setting, a subscription or the topology is wrong; the message names it and the fix."""


class InvalidRoutingKey(TaskroutingError, ValueError):
    """No event can be published under this routing key; nothing was written."""


class InvalidPattern(TaskroutingError, ValueError):
    """No routing key that can be published will ever match this pattern."""


class InvalidEventData(TaskroutingError, ValueError):
    """The event holds a value that JSON or the database refuses; the message says which and where.

    Nothing was written. Turn the value into text, a number, a list or a dict first.
    """


class InvalidEnvelope(TaskroutingError, ValueError):
    """The received bytes cannot be read as an event; the message says what is broken and where."""


class NotAccepted(TaskroutingError, ValueError):
    """A message has a content type or compression we do not read, or lacks the right signature."""


class BrokerUnavailable(TaskroutingError, ConnectionError):
    """The broker is away. Wait and try again; no attempt is charged for it."""


class BrokerBlocked(BrokerUnavailable):
    """The broker is there and takes no messages for now: it is short of memory or disk space."""


class ConsumerDeaf(TaskroutingError):
    """A queue has messages and none arrives, however often we consume it anew; end the process."""


class TopologyConflict(TaskroutingError):
    """A queue or exchange exists with other arguments (AMQP answers 406).

    The message names it, the argument that differs, and how to get out of it.
    """


class LeaseLost(TaskroutingError):
    """The delivery's token was taken over by another worker; this one recorded nothing."""


class CannotRedrive(TaskroutingError):
    """A dead letter cannot be redriven, and is left as it was; the message says why and the fix."""


class HandlerTimeout(TaskroutingError, TimeoutError):
    """The handler ran longer than its subscription's ``timeout``; the attempt has failed."""


class StrayWriteWarning(UserWarning):
    """A handler with ``effects="database"`` wrote to another database than ``DATABASE``.

    That write does not commit with the outcome. Make it idempotent and declare
    ``effects="external"``, or write where the ledger is.
    """


class Verdict(Exception):
    """What a handler raises to decide the fate of its delivery."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Snooze(Verdict):
    """Not now: run the handler again after ``delay`` and count no attempt."""

    def __init__(self, delay: timedelta | float, reason: str = "") -> None:
        """Take ``delay`` as a ``timedelta`` or in seconds.

        Raises ValueError or TypeError for anything that is no length of time; raised inside a
        handler, that is the handler's own failure.
        """
        super().__init__(reason)
        self.delay = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        if self.delay < timedelta(0):
            raise ValueError(f"Snooze({delay!r}): a delay cannot be negative.")

    def __reduce__(self) -> tuple[type[Snooze], tuple[timedelta, str]]:
        """Pickle with the delay, which ``args`` does not hold."""
        return type(self), (self.delay, self.reason)


class Reject(Verdict):
    """Never: keep the delivery as a dead letter now, for trying again is useless."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class Discard(Verdict):
    """Done on purpose: there was nothing to do, and no one needs to look at it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
