"""THE GAUGES: they listen to the milestones, and never fail a delivery."""

from __future__ import annotations

from taskrouting import conf
from taskrouting.exceptions import ConfigurationError

from . import logging

__all__ = ["flush", "logging", "switch_on"]


def switch_on() -> None:
    """Begin to trace, if the settings say so.

    Raises ConfigurationError where OpenTelemetry is missing; it is not imported otherwise.
    """
    if conf.current().tracing:
        try:
            from . import tracing
        except ImportError as error:
            raise ConfigurationError(
                "TASKROUTING['TRACING'] is on, and OpenTelemetry is missing: "
                "pip install 'django-taskrouting[tracing]'."
            ) from error
        tracing.install()


def flush() -> None:
    """Let go of what is still held back, before a process ends."""
    if conf.current().tracing:
        from . import tracing

        tracing.flush()
