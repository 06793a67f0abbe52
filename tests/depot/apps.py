"""What does Django need to know about the depot?"""

from __future__ import annotations

import importlib
import json
import os
from datetime import timedelta

from django.apps import AppConfig


class DepotConfig(AppConfig):
    """The app whose subscribers run in worker subprocesses."""

    name = "tests.depot"

    def ready(self) -> None:
        """Be in the hurry that a test is in: ``DEPOT_HURRY`` names constants and their values."""
        for constant, value in json.loads(os.environ.get("DEPOT_HURRY", "{}")).items():
            module, _, name = constant.rpartition(".")
            home = importlib.import_module(module)
            known = getattr(home, name)
            setattr(home, name, timedelta(seconds=value) if isinstance(known, timedelta) else value)
