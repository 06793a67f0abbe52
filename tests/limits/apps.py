"""What does Django need to know about the handlers that take too long?"""

from __future__ import annotations

from django.apps import AppConfig


class LimitsConfig(AppConfig):
    """The app whose subscribers do not end in time."""

    name = "tests.limits"
