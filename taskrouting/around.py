"""What else happens around a step of ours? Context managers, for tracing and metrics to add.

Three steps can be surrounded, and nothing is added by itself, which costs next to nothing:

===========  ==================================================  ==============================
list         each is called with                                 and returns
===========  ==================================================  ==============================
``stamps``   an event that is about to be written                the event to write
``sending``  the messages that the relay hands to the broker     a context manager
``handling`` the subscription and the events of its handler      a context manager
===========  ==================================================  ==============================

What is raised in these is logged, and fails nothing: the step goes on without.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskrouting.events import Event
    from taskrouting.routing.subscriptions import Subscription
    from taskrouting.transport.messages import Message

logger = logging.getLogger("taskrouting")

Block = AbstractContextManager[Any]

stamps: list[Callable[[Event], Event]] = []
sending: list[Callable[[Sequence[Message]], Block]] = []
handling: list[Callable[[Subscription, Sequence[Event]], Block]] = []

_NOTHING = nullcontext()


def stamped(event: Event) -> Event:
    """Return the event as it is to be written."""
    for stamp in stamps:
        try:
            event = stamp(event)
        except Exception:
            logger.exception("%r failed; the event is written without it.", stamp)
    return event


def send(messages: Sequence[Message]) -> Block:
    """Surround the sending of ``messages``."""
    return _Surroundings(sending, messages) if sending else _NOTHING


def handler(subscription: Subscription, events: Sequence[Event]) -> Block:
    """Surround the run of a handler."""
    return _Surroundings(handling, subscription, events) if handling else _NOTHING


class _Surroundings:
    """Blocks around one step. None of them fails it, and none keeps an exception from us."""

    __slots__ = ("_entered", "_makers", "_what")

    def __init__(self, makers: Sequence[Callable[..., Block]], *what: object) -> None:
        self._makers = makers
        self._what = what
        self._entered: list[Block] = []

    def __enter__(self) -> None:
        for make in self._makers:
            try:
                block = make(*self._what)
                block.__enter__()
            except Exception:
                logger.exception("%r failed; it goes on without.", make)
            else:
                self._entered.append(block)

    def __exit__(self, *raised: Any) -> None:
        for block in reversed(self._entered):
            try:
                block.__exit__(*raised)
            except Exception:
                logger.exception("%r failed at the end of a step, which it does not touch.", block)
