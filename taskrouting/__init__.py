"""Topic-routed events for Django: captured in your transaction, handled once, recorded for good.

The public names live here; each is loaded when first used, so that a ``models.py`` may import
``publishes`` while Django is still loading models.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from taskrouting.events import Event
    from taskrouting.exceptions import Discard, Reject, Snooze
    from taskrouting.policies import Batch, Retry
    from taskrouting.publishing.capture import publishes
    from taskrouting.publishing.publisher import publish, publish_many
    from taskrouting.publishing.querysets import EventQuerySet
    from taskrouting.routing.subscriptions import subscribe

__version__ = "0.1.0"

_HOMES = {
    "Batch": "taskrouting.policies",
    "Discard": "taskrouting.exceptions",
    "Event": "taskrouting.events",
    "EventQuerySet": "taskrouting.publishing.querysets",
    "Reject": "taskrouting.exceptions",
    "Retry": "taskrouting.policies",
    "Snooze": "taskrouting.exceptions",
    "publish": "taskrouting.publishing.publisher",
    "publish_many": "taskrouting.publishing.publisher",
    "publishes": "taskrouting.publishing.capture",
    "subscribe": "taskrouting.routing.subscriptions",
}

__all__ = [
    "Batch",
    "Discard",
    "Event",
    "EventQuerySet",
    "Reject",
    "Retry",
    "Snooze",
    "publish",
    "publish_many",
    "publishes",
    "subscribe",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except RuntimeError as error:
        if "app_label" not in str(error):
            raise
        raise ImproperlyConfigured("Add 'taskrouting' to INSTALLED_APPS.") from error
