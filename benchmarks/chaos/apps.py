"""What does Django need to know about a run of chaos?"""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings


class ChaosConfig(AppConfig):
    """The app whose events are published and handled while everything is killed."""

    name = "benchmarks.chaos"
    label = "chaos"

    def ready(self) -> None:
        """Break the code where this run is to show that it notices."""
        if settings.CHAOS_MUTATION:
            from . import mutations

            mutations.apply(settings.CHAOS_MUTATION)
