"""Has it happened yet? Waiting for a condition, with a deadline instead of a sleep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

#: Seconds between two looks: short enough not to slow a test, long enough to leave the core free.
INTERVAL = 0.01


def wait_until(
    condition: Callable[[], T], *, timeout: float = 10.0, message: str = "the condition"
) -> T:
    """Return what ``condition`` returns as soon as that is true.

    Fails the test when it is still not true after ``timeout`` seconds; ``message`` says what was
    waited for. An exception out of ``condition`` ends the wait at once.
    """
    pause = threading.Event()
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() >= deadline:
            pytest.fail(f"Waited {timeout:g} s for {message}; last seen: {result!r}", pytrace=False)
        pause.wait(INTERVAL)
    return result
