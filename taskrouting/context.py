"""Who acts, and what caused this? Context variables that ``publish()`` reads.

A web request puts its user and request id here (``middleware.py``), a worker puts the event it
is handling, and a script may name itself::

    with context.acting(actor="cron:nightly-import"):
        publish("catalogue.imported")

An actor that is not known yet, such as a user whom the view has yet to log in, is a function
that is asked whenever somebody reads the context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any


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
    """Return the context in force here; an actor that is a function is asked now."""
    here = _current.get()
    actor: Any = here.actor  # acting() may have put a function there
    if not callable(actor):
        return here
    with acting(actor=None):  # finding out who acts may itself save, and so publish
        return replace(here, actor=actor())


@contextmanager
def acting(**changes: str | Callable[[], str | None] | None) -> Iterator[None]:
    """Change the context for a block; what is not named stays.

    Takes the fields of ``Context`` by name; an unknown one raises TypeError. ``actor`` may be a
    function without arguments.
    """
    token = _current.set(replace(_current.get(), **changes))  # type: ignore[arg-type]  # current() asks
    try:
        yield
    finally:
        _current.reset(token)
