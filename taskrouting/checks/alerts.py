"""Can alerts reach somebody, and is what they watch there? And is there what tracing needs?"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from taskrouting import conf
from taskrouting.routing import topology

from .registering import check


@check
def alerts_can_be_told(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E025: the first alert would reach nobody."""
    if not isinstance(settings.alerts.to, str):
        return
    where = f"TASKROUTING['ALERTS']['to'] is {settings.alerts.to!r}"
    hint = "Give the dotted path to a function that takes an Alert, or a list of mail addresses."
    try:
        if not callable(import_string(settings.alerts.to)):
            yield Error(f"{where}, which cannot be called.", hint=hint, id="taskrouting.E025")
    except Exception as error:  # noqa: BLE001  # whatever the module does when it is imported
        text = f"{where}, which cannot be imported: {error}"
        yield Error(text, hint=hint, id="taskrouting.E025")


@check
def silent_queues_are_there(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W025: nothing can come to it, so it would be silent for ever."""
    known = {queue.name for queue in topology.current().queues}
    for name in settings.alerts.silent_queue:
        if name not in known:
            yield Warning(
                f"TASKROUTING['ALERTS']['silent_queue'] names {name!r}, which nobody subscribes.",
                hint=f"There are: {', '.join(sorted(known)) or 'none'}.",
                id="taskrouting.W025",
            )


@check
def tracing_has_its_package(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E026: no span could be made."""
    if settings.tracing and find_spec("opentelemetry") is None:
        yield Error(
            "TASKROUTING['TRACING'] is on, and the package opentelemetry-api is missing.",
            hint="pip install 'django-taskrouting[tracing]'",
            id="taskrouting.E026",
        )
