"""What does Django need to know about the depot?"""

from __future__ import annotations

from django.apps import AppConfig


class DepotConfig(AppConfig):
    """The app whose subscribers run in worker subprocesses."""

    name = "tests.depot"
