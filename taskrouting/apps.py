"""What happens when Django is ready? Discover, connect, register, in that order."""

from __future__ import annotations

from traceback import walk_stack

from django.apps import AppConfig
from django.core.management import ManagementUtility
from django.utils.translation import gettext_lazy as _

from taskrouting.exceptions import ConfigurationError


class TaskroutingConfig(AppConfig):
    """The app ``taskrouting``."""

    name = "taskrouting"
    verbose_name = _("Event routing")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Find subscribers, connect what listens, register the system checks.

        Raises ConfigurationError for wrong settings, so that no server starts with them; under a
        management command the system checks say it instead, without a traceback.
        """
        from taskrouting import checks, instruments  # noqa: F401  # checks register themselves
        from taskrouting.audit import writer
        from taskrouting.routing import subscriptions

        subscriptions.autodiscover()
        try:
            writer.subscribe()
            instruments.switch_on()
        except ConfigurationError:
            if not _a_command_starts():
                raise


def _a_command_starts() -> bool:
    """Say whether Django is being set up for a management command, which begins with the checks."""
    execute = ManagementUtility.execute.__code__
    return any(frame.f_code is execute for frame, _ in walk_stack(None))
