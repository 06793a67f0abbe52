"""Is there such a broker, and does it keep what the settings promise?"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Error, Warning

from taskrouting import conf
from taskrouting.exceptions import ConfigurationError
from taskrouting.transport import capabilities
from taskrouting.transport.capabilities import Capabilities

from .registering import check

#: The extra of our package that brings what a transport needs.
EXTRAS = {"redis": "redis", "sqs": "sqs"}


def transport_of(settings: conf.Settings) -> Capabilities | None:
    """What the broker can do; ``None`` where there is no such broker, which E002 says."""
    try:
        return capabilities.capabilities(settings.broker_url)
    except ConfigurationError:
        return None


@check
def transport_exists(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E002, E003: no connection could ever be made."""
    try:
        can = capabilities.capabilities(settings.broker_url)
    except ConfigurationError as error:
        yield Error(str(error), id="taskrouting.E002")
        return
    if fault := capabilities.fault(settings.broker_url):
        extra = EXTRAS.get(can.name)
        yield Error(
            f"TASKROUTING['BROKER_URL'] names a broker of kind {can.name!r}, but {fault}.",
            hint=f"pip install 'django-taskrouting[{extra}]'" if extra else None,
            id="taskrouting.E003",
        )


@check
def broker_is_shared(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W009: a worker in another process would wait for ever."""
    can = transport_of(settings)
    if can and not can.shared:
        yield Warning(
            f"TASKROUTING['BROKER_URL'] is {can.name}://, whose queues live and die with one "
            "process: only a worker in the process that relays sees the events.",
            hint="It is for tests. django:// needs no server either and loses nothing.",
            id="taskrouting.W009",
        )


@check
def broker_confirms(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W010: what the broker loses would be gone."""
    can = transport_of(settings)
    if can and settings.outbox_keep == "until_confirmed" and not (can.confirms or can.embedded):
        yield Warning(
            f"TASKROUTING['OUTBOX_KEEP'] is 'until_confirmed', but {can.name}:// confirms "
            "nothing: what it loses is lost.",
            hint="Remove it, and a row stays in the outbox until its message was received.",
            id="taskrouting.W010",
        )


@check
def outbox_can_be_kept(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E018: a promise that this broker's relay cannot keep."""
    can = transport_of(settings)
    if can and can.routes and settings.outbox_keep == "until_received":
        yield Error(
            f"TASKROUTING['OUTBOX_KEEP'] is 'until_received', but {can.name}:// routes events "
            "itself, so nobody knows which queues would have to receive one.",
            hint="Remove it: the broker confirms that it has every event in every queue.",
            id="taskrouting.E018",
        )


@check
def database_has_one_name(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W011: the alias in the URL has no effect."""
    can = transport_of(settings)
    alias = urlsplit(settings.broker_url).hostname if can and can.embedded else None
    if alias and alias != settings.database.lower():
        yield Warning(
            f"TASKROUTING['BROKER_URL'] is {settings.broker_url!r}, but the queues are in "
            f"database {settings.database!r}, which TASKROUTING['DATABASE'] names.",
            hint=f"Set 'DATABASE': {alias!r}, and 'BROKER_URL': 'django://'.",
            id="taskrouting.W011",
        )


@check
def arguments_are_read(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W012: what the arguments promise does not happen."""
    can = transport_of(settings)
    if can is None or can.name == "amqp":
        return
    for name, tuning in settings.queues.items():
        if tuning.arguments:
            yield Warning(
                f"TASKROUTING['QUEUES'][{name!r}]['arguments'] is {dict(tuning.arguments)!r}, "
                f"which {can.name}:// does not read.",
                hint="Only RabbitMQ reads them. Remove them, or silence this check.",
                id="taskrouting.W012",
            )
