"""Who made this request, what was it, what is its id? For every event published while it runs.

Put it anywhere in ``MIDDLEWARE``, best at the top; the user is looked up when an event is
published, so a view that logs somebody in publishes as them. ``X-Request-ID`` is taken from the
request where a proxy has set it, and returned with the response; it becomes the events'
correlation id. Without a proxy the client may choose it: it names a conversation, proves nothing.

Events keep the request's method and the route of its view, ``POST /videos/<uuid:pk>/``. Not the
path: what stands in the place of ``<…>`` may be a secret (a login link, a password reset), and the
record is for good. Not the query string, for the same reason. The id leads to the web server's log.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import FileResponse, HttpRequest, HttpResponseBase, StreamingHttpResponse

from taskrouting import context, events

HEADER = "X-Request-ID"

#: The longest id that is taken over; a longer one is replaced.
LONGEST = 200

#: Enters the request's context; each call gives a new block to enter.
Within = Callable[[], AbstractContextManager[Any]]


class ActorMiddleware:
    """Puts the request's user and id into the context that ``publish()`` reads.

    The context ends with the request, and comes back for each piece of a streamed response.
    """

    sync_capable = True
    async_capable = True

    def __init__(
        self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]
    ) -> None:
        self.get_response: Callable[[HttpRequest], Any] = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer the request within its context."""
        request_id = _request_id(request)
        within = partial(
            context.acting,
            actor=partial(_actor, request),
            request=partial(_shown, request),
            correlation_id=request_id,
            request_id=request_id,
        )
        if self._is_async:
            return self._answer_later(request, within, request_id)
        with within():
            response = self.get_response(request)
        return _finished(response, within, request_id)

    async def _answer_later(
        self, request: HttpRequest, within: Within, request_id: str
    ) -> HttpResponseBase:
        with within():
            response = await self.get_response(request)
        return _finished(response, within, request_id)


def _request_id(request: HttpRequest) -> str:
    """Return the id that came with the request, if it is printable ASCII, or a new one."""
    given = request.headers.get(HEADER, "").strip()
    usable = given.isascii() and given.isprintable() and 0 < len(given) <= LONGEST
    return given if usable else str(uuid.uuid4())


def _actor(request: HttpRequest) -> str | None:
    """Name the request's user, ``auth.user:7 (ana)``, cut to what an event can keep."""
    user: Any = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return None
    return f"{user._meta.label_lower}:{user.pk} ({user.get_username()})"[: events.MAX_LENGTH]


def _shown(request: HttpRequest) -> str:
    """Say which request it is, without a value that the client has chosen."""
    match = request.resolver_match
    text = f"{request.method} /{match.route.lstrip('/')}" if match else str(request.method)
    return "".join(filter(str.isprintable, text))[: events.MAX_LENGTH]


def _finished(response: HttpResponseBase, within: Within, request_id: str) -> HttpResponseBase:
    """Return the response with the request's id, and with the context around what it streams.

    Not around a file: it publishes nothing, and servers send it without reading.
    """
    response.headers[HEADER] = request_id
    if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
        streamed: Any = _streamed_later if response.is_async else _streamed
        response.streaming_content = streamed(response.streaming_content, within)
    return response


def _streamed(pieces: Iterable[bytes], within: Within) -> Iterator[bytes]:
    """Make each piece within the context, and leave it before the piece is sent."""
    remaining = iter(pieces)
    while True:
        with within():
            piece = next(remaining, None)
        if piece is None:
            return
        yield piece


async def _streamed_later(pieces: AsyncIterator[bytes], within: Within) -> AsyncIterator[bytes]:
    """Do the same for an asynchronous stream."""
    remaining = aiter(pieces)
    while True:
        with within():
            piece = await anext(remaining, None)
        if piece is None:
            return
        yield piece
