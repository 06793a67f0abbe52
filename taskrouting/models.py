"""Which tables are there, and who owns each? Re-exported here, where Django looks for them.

``Dashboard``, ``Event`` and ``Topology`` are no tables: they are how the admin knows its pages.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from taskrouting.alerts.models import Alarm
from taskrouting.audit.models import AuditLog
from taskrouting.consuming.models import Delivery, Pause, WorkerProcess
from taskrouting.dead_letters.models import DeadLetter, Sweep
from taskrouting.instruments.models import Figure, Pulse
from taskrouting.transport.models import Binding, Message

__all__ = [
    "Alarm",
    "AuditLog",
    "Binding",
    "Dashboard",
    "DeadLetter",
    "Delivery",
    "Event",
    "Figure",
    "Message",
    "Pause",
    "Pulse",
    "Sweep",
    "Topology",
    "WorkerProcess",
]


class Dashboard(Delivery):
    """The page that says how the installation is doing."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = verbose_name_plural = _("dashboard")


class Event(AuditLog):
    """The pages that each tell the story of one event."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("event")
        verbose_name_plural = _("events")


class Topology(Binding):
    """The page that shows what is routed where."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = verbose_name_plural = _("topology")
