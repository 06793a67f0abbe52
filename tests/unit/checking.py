"""What do the system checks find? For the tests of them."""

from __future__ import annotations

from typing import Any

from django.core import checks


def messages_found() -> list[Any]:
    """What our checks find."""
    return checks.run_checks(tags=["taskrouting"])


def found() -> list[str]:
    """The ids of what our checks find, without the app's name."""
    return sorted(message.id.partition(".")[2] for message in messages_found())


def said() -> str:
    """The one thing that the checks say, with its hint."""
    [message] = messages_found()
    return f"{message.msg} | {message.hint}"
