"""How is a dead letter kept, and how is it closed? ``keep`` and ``resolve``."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from django.db.models.functions import Now

from taskrouting import conf, json_text, masking, signals
from taskrouting.json_text import storable
from taskrouting.transport.messages import Arrival, Message

from .causes import cause_of
from .models import DeadLetter

#: Characters of an error text that are kept.
LONGEST_ERROR = 20_000

SHORT = 255


def keep_arrival(
    arrival: Arrival,
    reason: DeadLetter.Reason,
    error: str,
    *,
    delivery: int | None = None,
    mark: str = "",
) -> None:
    """Keep a message that arrived and could not be handed to anybody, as it was on the wire.

    ``delivery`` is the number of the ledger's row whose turn it was. While one with the same
    ``mark`` is open, no other is kept.
    """
    _keep(
        reason,
        error,
        queue=arrival.queue,
        subscription=arrival.subscription or "",
        event_id=_text(arrival.properties.get("message_id")),
        source=_text(arrival.properties.get("app_id")),
        routing_key=arrival.routing_key,
        exchange=arrival.exchange,
        body=arrival.body,
        headers=_plain(arrival.headers),
        properties=_plain(arrival.properties),
        content_type=arrival.content_type or "",
        content_encoding=arrival.content_encoding or "",
        mark=mark,
        delivery=delivery,
    )


def keep_message(
    message: Message, reason: DeadLetter.Reason, error: str, *, delivery: int | None = None
) -> None:
    """Keep a message of ours that has nowhere to go; keeping it twice is harmless.

    ``delivery`` is the number of the ledger's row whose delivery this was.
    """
    mark = f"{reason}|{message.queue}|{message.subscription}|{message.token}"
    _keep(
        reason,
        error,
        queue=message.queue,
        subscription=message.subscription,
        event_id=message.event_id,
        source=message.source,
        routing_key=message.routing_key,
        exchange=message.exchange,
        body=message.body,
        headers=_plain(message.wire_headers),
        properties=_plain(message.properties),
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        mark=f"{mark}|{message.source}|{message.event_id}" if message.event_id else "",
        delivery=delivery,
    )


def resolve(letter: DeadLetter, resolution: DeadLetter.Resolution, note: str = "") -> bool:
    """Close ``letter``; return False when somebody has closed it before."""
    found = DeadLetter.objects.using(conf.current().database).filter(pk=letter.pk, resolved_at=None)
    # The fingerprint is given free: a redriven delivery may die again.
    closed = found.update(resolved_at=Now(), resolution=resolution, note=note, fingerprint=None)
    return bool(closed)


def as_message(letter: DeadLetter, **changes: Any) -> Message:
    """Return the message a dead letter was, ready to be put back."""
    return Message(
        **{
            "queue": letter.queue,
            "body": bytes(letter.body),
            "exchange": letter.exchange,
            "routing_key": letter.routing_key,
            "event_id": letter.event_id,
            "source": letter.source,
            "subscription": letter.subscription,
            "headers": letter.headers,
            "properties": letter.properties,
            "content_type": letter.content_type,
            "content_encoding": letter.content_encoding,
            **changes,
        }
    )


def _keep(reason: DeadLetter.Reason, error: str, *, mark: str, **values: Any) -> None:
    for name in ("queue", "subscription", "event_id", "source", "routing_key", "exchange",
                 "content_type", "content_encoding"):  # fmt: skip
        values[name] = storable(values[name])[:SHORT]
    shown = storable(masking.hidden_in_text(error))
    letter = DeadLetter(
        reason=reason,
        error=shown[:LONGEST_ERROR],
        cause=cause_of(reason, shown),
        fingerprint=hashlib.sha256(mark.encode("utf-8", "replace")).hexdigest() if mark else None,
        **values,
    )
    DeadLetter.objects.using(conf.current().database).bulk_create([letter], ignore_conflicts=True)
    signals.emit(
        signals.dead_letter_kept,
        DeadLetter,
        reason=str(reason),
        queue=letter.queue,
        subscription=letter.subscription,
        event_id=letter.event_id,
        source=letter.source,
        routing_key=letter.routing_key,
    )


def _text(value: object) -> str:
    """Take a property that is text; of anything else the column would be no identity."""
    return value if isinstance(value, str) else ""


def _plain(value: Any, levels: int = json_text.MAX_DEPTH) -> Any:
    """Make what a broker hands over fit for a JSON column, however deep it is nested."""
    if isinstance(value, Mapping | list | tuple) and not levels:
        return "…"
    if isinstance(value, Mapping):
        return {storable(str(key)): _plain(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, levels - 1) for item in value]
    if isinstance(value, bool | int | None) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, bytes):
        return storable(value.decode("utf-8", "replace"))
    return storable(value if isinstance(value, str) else str(value))
