"""What is this app called?"""

from __future__ import annotations

from django.apps import AppConfig


class MediaConfig(AppConfig):
    """The videos; taskrouting finds ``events.py`` and ``subscribers.py`` by itself."""

    name = "project.media"
    label = "media"
    verbose_name = "Videos"
    default_auto_field = "django.db.models.BigAutoField"
