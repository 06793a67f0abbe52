"""How is a handler stopped that runs too long?

=====================  =========================================================================
at its timeout         an exception is raised in its thread: CPython delivers it between two
                       bytecodes, so it ends any Python code. An ``async def`` is cancelled at its
                       await instead, and the exception follows one REACH later.
one REACH later        it blocks where no exception arrives. A database statement is cancelled.
one more REACH later   it is given up (``overdue.py``): ``time.sleep``, a socket without a timeout,
                       code in C. The attempt is recorded and the process makes room.
=====================  =========================================================================
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import async_to_sync

from taskrouting.exceptions import HandlerTimeout
from taskrouting.routing.subscriptions import Subscription

from .runs import Run, Rung

#: Seconds that a handler has to notice that its time is over.
REACH = 1.0


@contextmanager
def limit(
    subscription: Subscription, run: Run, give_up: Callable[[HandlerTimeout], None] | None
) -> Iterator[None]:
    """Raise HandlerTimeout in this thread if the block is not done within the timeout, if any.

    ``give_up`` is called, in another thread, with the error of a block that does not end.
    """
    timeout = subscription.timeout
    if timeout is None:
        yield
        return
    patience = timeout.total_seconds() + (REACH if iscoroutinefunction(subscription.handler) else 0)
    watching = [run, run.watched(), patience, give_up, HandlerTimeout(_sentence(timeout))]
    threading.Thread(target=_watch, args=watching, name="timeout", daemon=True).start()
    try:
        yield
    except Rung:
        raise HandlerTimeout(_sentence(timeout)) from None
    except Exception as error:
        if not run.rung:
            raise
        raise HandlerTimeout(_sentence(timeout)) from error
    finally:
        run.end()


def call(subscription: Subscription, argument: Any, run: Run) -> Any:
    """Call the handler, where ``run`` can reach it."""
    if iscoroutinefunction(subscription.handler):
        return async_to_sync(_awaited)(subscription, argument, run)
    run.enter()
    try:
        return subscription.handler(argument)
    finally:
        run.leave()


async def _awaited(subscription: Subscription, argument: Any, run: Run) -> Any:
    """Await an ``async def`` handler for as long as its subscription allows."""
    timeout = subscription.timeout
    run.enter()
    try:
        async with asyncio.timeout(None if timeout is None else timeout.total_seconds()) as limit:
            return await subscription.handler(argument)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise HandlerTimeout(_sentence(timeout)) from error
    finally:
        run.leave()


def _watch(
    run: Run,
    over: threading.Event,
    patience: float,
    give_up: Callable[[HandlerTimeout], None] | None,
    error: HandlerTimeout,
) -> None:
    """Wait for the end of ``run``; insist, more and more."""
    for seconds, insist in ((patience, run.ring), (REACH, run.cancel)):
        if over.wait(seconds):
            return
        insist()
    if give_up is not None and not over.wait(REACH):
        give_up(error)


def _sentence(timeout: timedelta | None) -> str:
    return f"The handler ran longer than its timeout of {timeout}."
