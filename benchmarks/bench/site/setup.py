"""How does a peer's module get Django ready before it imports anything of the site?"""

from __future__ import annotations

import os

import django


def ready() -> None:
    """Set Django up, once."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.bench.site.settings")
    django.setup()
