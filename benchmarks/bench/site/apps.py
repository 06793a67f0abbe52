"""What does Django need to know about the site?"""

from __future__ import annotations

from django.apps import AppConfig


class BenchConfig(AppConfig):
    """The app with the row that handlers write, and the tasks of all peers."""

    name = "benchmarks.bench.site"
    label = "bench"
    default_auto_field = "django.db.models.BigAutoField"
