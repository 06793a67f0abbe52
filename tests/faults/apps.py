"""What does Django need to know about the faults?"""

from __future__ import annotations

from django.apps import AppConfig


class FaultsConfig(AppConfig):
    """The app whose subscribers meet with faults."""

    name = "tests.faults"
