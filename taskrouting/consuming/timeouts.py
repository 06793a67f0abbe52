"""How is a handler stopped that runs too long? An exception raised in its own thread.

CPython delivers it between two bytecodes, so it ends a loop of Python code, and reaches a handler
that blocks (``time.sleep``, a socket without a timeout) only when that returns: give what blocks a
timeout of its own. An ``async def`` handler is cancelled by its event loop instead, at any await.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from taskrouting.exceptions import HandlerTimeout
from taskrouting.routing.subscriptions import Subscription


@contextmanager
def limit(timeout: timedelta | None) -> Iterator[None]:
    """Raise HandlerTimeout in this thread if the block is not done within ``timeout``."""
    if timeout is None:
        yield
        return
    alarm = _Alarm(threading.get_ident())
    timer = threading.Timer(timeout.total_seconds(), alarm.ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    except _Rung:
        raise HandlerTimeout(_sentence(timeout)) from None
    finally:
        timer.cancel()
        alarm.silence()


async def awaited(subscription: Subscription, argument: Any) -> Any:
    """Await an ``async def`` handler for as long as its subscription allows."""
    timeout = subscription.timeout
    try:
        async with asyncio.timeout(None if timeout is None else timeout.total_seconds()) as limit:
            return await subscription.handler(argument)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise HandlerTimeout(_sentence(timeout)) from error


class _Rung(BaseException):
    """What is raised in the thread: no ``except Exception`` of the handler swallows it."""


class _Alarm:
    """Raises in one thread, and never after the block has ended."""

    def __init__(self, thread: int) -> None:
        self._thread = ctypes.c_ulong(thread)
        self._lock = threading.Lock()
        self._over = False

    def ring(self) -> None:
        with self._lock:
            if not self._over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, ctypes.py_object(_Rung))

    def silence(self) -> None:
        """End the block; an exception that was set and has not arrived is taken back."""
        with self._lock:
            self._over = True
            ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, None)


def _sentence(timeout: timedelta | None) -> str:
    return f"The handler ran longer than its timeout of {timeout}."
