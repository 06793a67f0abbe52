"""Who acts, and what caused this? Context variables that ``publish()`` reads.

A web request puts its user and request id here (``middleware.py``), a worker puts the event it
is handling, and a script may name itself::

    with context.acting(actor="cron:nightly-import"):
        publish("catalogue.imported")
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an event published now inherits."""

    #: Who acts, for people to read: ``"auth.user:7 (ana)"``.
    actor: str | None = None

    #: The conversation: shared by everything one request or one first event led to.
    correlation_id: str | None = None

    #: The id of the event whose handler is running.
    causation_id: str | None = None

    #: W3C trace context.
    traceparent: str | None = None


_current: ContextVar[Context] = ContextVar("taskrouting_context", default=Context())  # noqa: B039  # frozen


def current() -> Context:
    """Return the context in force here."""
    return _current.get()


@contextmanager
def acting(**changes: str | None) -> Iterator[Context]:
    """Change the context for a block; what is not named stays.

    Takes the fields of ``Context`` by name; an unknown one raises TypeError.
    """
    changed = replace(_current.get(), **changes)
    token = _current.set(changed)
    try:
        yield changed
    finally:
        _current.reset(token)
