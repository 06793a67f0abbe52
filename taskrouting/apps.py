"""What happens when Django is ready? Discover, connect, register, in that order."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TaskroutingConfig(AppConfig):
    """The app ``taskrouting``."""

    name = "taskrouting"
    verbose_name = _("Event routing")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Find subscribers, connect what listens, register the system checks."""
        from taskrouting import checks, instruments  # noqa: F401  # each registers itself
        from taskrouting.audit import writer
        from taskrouting.routing import subscriptions

        subscriptions.autodiscover()
        writer.subscribe()
