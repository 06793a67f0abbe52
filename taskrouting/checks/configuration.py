"""Can the settings be read, and do their values go together?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.checks import CheckMessage, Error, Warning, register

from taskrouting import conf, events
from taskrouting.exceptions import ConfigurationError, InvalidEventData
from taskrouting.transport import codecs, messages

from .registering import TAG, check

#: Below this, an ordinary pause of a loaded machine looks like a dead worker.
SHORT_LEASE = timedelta(seconds=5)


@register(TAG)
def settings_can_be_read(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """E001: what ``conf`` refuses, said before anything runs."""
    try:
        conf.current()
    except ConfigurationError as error:
        return [Error(str(error), id="taskrouting.E001")]
    return []


@check
def compression_is_known(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E004: the relay could not compress the first message."""
    if settings.compression and not codecs.is_compression(settings.compression):
        yield Error(
            f"TASKROUTING['COMPRESSION'] is {settings.compression!r}, which is none that we read.",
            hint="'gzip', 'bzip2' and 'lzma' can be unpacked within bounds.",
            id="taskrouting.E004",
        )


@check
def serializers_are_known(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E005: the first message of that kind could not be read."""
    for name in codecs.unknown_serializers(settings.accept):
        yield Error(
            f"TASKROUTING['ACCEPT'] names {name!r}, and Kombu has no serializer of that name.",
            hint="'json', 'yaml' and 'msgpack' are known where their packages are installed.",
            id="taskrouting.E005",
        )


@check
def serializers_run_no_code(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W006: whoever may write to a queue may do anything here."""
    for name in codecs.serializers_that_run_code(settings.accept):
        yield Warning(
            f"TASKROUTING['ACCEPT'] names {name!r}: whoever can write to a queue can run any "
            "code in the workers.",
            hint="Let the sender write JSON and remove it from ACCEPT.",
            id="taskrouting.W006",
        )


@check
def serializers_do_not_repeat(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W013: a message could keep a worker busy for longer than its size suggests."""
    for name in codecs.serializers_that_repeat(settings.accept):
        yield Warning(
            f"TASKROUTING['ACCEPT'] names {name!r}, which is read hundreds of times slower "
            "than JSON, and in which few bytes can stand for very many values.",
            hint="Let the sender write JSON and remove it from ACCEPT.",
            id="taskrouting.W013",
        )


@check
def signatures_are_required(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W014: who wants to forge a message leaves its signature out."""
    if settings.signing_keys and settings.unsigned == "accept":
        yield Warning(
            "TASKROUTING['UNSIGNED'] is 'accept', so that a message without a signature is handled "
            "although SIGNING_KEYS is set.",
            hint="Remove it as soon as everybody signs, and nothing older is on its way.",
            id="taskrouting.W014",
        )


@check
def source_is_usable(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E016: no event could be published."""
    event = events.Event(
        id="1", type="check", source=settings.source, time=datetime.now(UTC), data=None
    )
    try:
        events.encode(event)
        fault = messages.property_fault(source=settings.source)
    except InvalidEventData as error:
        fault = str(error).removesuffix(".")
    if fault:
        yield Error(
            f"TASKROUTING['SOURCE'] cannot be the source of an event: {fault}.",
            hint="Name the project, for example 'shop' or 'https://shop.example'.",
            id="taskrouting.E016",
        )


@check
def lease_outlasts_a_pause(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W005: work would be taken over from workers that live."""
    if settings.lease < SHORT_LEASE:
        yield Warning(
            f"TASKROUTING['LEASE'] is {settings.lease.total_seconds():g} seconds; a worker that "
            "is silent for that long, on a loaded machine say, loses its work to another.",
            hint=f"Give it at least {SHORT_LEASE.total_seconds():g} seconds; 60 is the default.",
            id="taskrouting.W005",
        )
