"""Who acts, and what caused this? Context variables that ``publish()`` reads.

A web request puts its user and request id here (``middleware.py``), a worker puts the event it
is handling, and a script may name itself::

    with context.acting(actor="cron:nightly-import"):
        publish("catalogue.imported")

An actor that is not known yet, such as a user whom the view has yet to log in, is a function
that is asked whenever somebody reads the context; so is a request whose view is not chosen yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskrouting.events import Event


@dataclass(frozen=True, slots=True)
class Handling:
    """Which event is being handled here, for whom, and which try it is."""

    #: ``None`` for a batch, which is many events.
    event: Event | None
    subscription: str
    queue: str
    attempt: int | None


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

    #: The web request that publishes, for people to read: ``"POST /videos/<uuid:pk>/"``.
    request: str | None = None

    #: The id of that request, which the logs of web server and proxy have too.
    request_id: str | None = None

    #: What is being handled; no event inherits it, but log lines tell of it.
    handling: Handling | None = None


_current: ContextVar[Context] = ContextVar("taskrouting_context", default=Context())  # noqa: B039  # frozen


def current() -> Context:
    """Return the context in force here; what is a function there is asked now."""
    here = _current.get()
    given: dict[str, Any] = {"actor": here.actor, "request": here.request}
    late = {name: ask for name, ask in given.items() if callable(ask)}
    if not late:
        return here
    with acting(**dict.fromkeys(late)):  # finding out who acts may itself save, and so publish
        return replace(here, **{name: ask() for name, ask in late.items()})


def unasked() -> Context:
    """Return the context in force here with its functions as they are: nobody is looked up."""
    return _current.get()


class Within:
    """Have ``there`` in force for a block. A class, since it is entered for every message."""

    __slots__ = ("_there", "_token")

    def __init__(self, there: Context) -> None:
        self._there = there

    def __enter__(self) -> None:
        self._token = _current.set(self._there)

    def __exit__(self, *raised: object) -> None:
        _current.reset(self._token)


@contextmanager
def acting(**changes: str | Callable[[], str | None] | None) -> Iterator[None]:
    """Change the context for a block; what is not named stays.

    Takes the fields of ``Context`` by name; an unknown one raises TypeError. ``actor`` and
    ``request`` may be functions without arguments.
    """
    token = _current.set(replace(_current.get(), **changes))  # type: ignore[arg-type]  # current() asks
    try:
        yield
    finally:
        _current.reset(token)
