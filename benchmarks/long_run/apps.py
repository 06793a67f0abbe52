"""What does Django need to know about a long run?"""

from __future__ import annotations

from django.apps import AppConfig


class LongRunConfig(AppConfig):
    """The app whose handlers a long run goes through."""

    name = "benchmarks.long_run"
    label = "long_run"
