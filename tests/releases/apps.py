"""What does Django need to know about the releases?"""

from __future__ import annotations

from django.apps import AppConfig


class ReleasesConfig(AppConfig):
    """The app that a worker runs in one of its two releases."""

    name = "tests.releases"
