"""How is a check written here? As a function of the settings that yields what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.core.checks import CheckMessage, register

from taskrouting import conf
from taskrouting.exceptions import ConfigurationError

#: The tag of every check of ours: ``manage.py check --tag taskrouting``.
TAG = "taskrouting"

Check = Callable[[conf.Settings], Iterable[CheckMessage]]


def check(found: Check) -> Check:
    """Register ``found`` to run on the settings in force."""

    def run(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
        try:
            settings = conf.current()
        except ConfigurationError:
            return []  # E001 says it, and without settings there is no more to say
        return list(found(settings))

    register(run, TAG)
    return found
