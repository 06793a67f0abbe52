"""What does Django need to know about the journey?"""

from __future__ import annotations

from django.apps import AppConfig


class JourneyConfig(AppConfig):
    """The app whose subscribers the whole journey runs through."""

    name = "tests.journey"
