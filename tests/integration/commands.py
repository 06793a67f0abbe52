"""How does a test run a management command? In this process, or as a program of its own."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests import processes


def run(name: str, *arguments: str) -> str:
    """Run a command in this process and return what it prints."""
    printed = StringIO()
    call_command(name, *arguments, stdout=printed, stderr=printed)
    return printed.getvalue()


def refused(name: str, *arguments: str) -> str:
    """Run a command that must fail, and return what it prints and why it fails."""
    printed = StringIO()
    with pytest.raises(CommandError) as raised:
        call_command(name, *arguments, stdout=printed, stderr=printed)
    return f"{printed.getvalue()}{raised.value}"


def program(*arguments: str, **taskrouting: Any) -> subprocess.CompletedProcess[str]:
    """Run ``django-admin`` with ``arguments`` as a program, and ``taskrouting`` as its settings."""
    return subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        env=processes.environment(**taskrouting),
        capture_output=True,
        text=True,
        timeout=60,
    )
