"""How was the event on the wire, and how would one publish another like it? Both masked."""

from __future__ import annotations

import json
import shlex
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext

from taskrouting import events, masking
from taskrouting.audit import reading
from taskrouting.audit.writer import row_of
from taskrouting.events import Event
from taskrouting.exceptions import InvalidEnvelope, InvalidEventData, NotAccepted
from taskrouting.models import AuditLog, DeadLetter, Message
from taskrouting.transport import codecs
from taskrouting.transport.messages import COMPRESSION

from . import shown

#: Longer commands are cut by shells, and read by nobody.
LONGEST_COMMAND = 8_000


def block(entry: AuditLog) -> SafeString | str:
    """Show the event as one JSON document, as it is on the wire."""
    try:
        document = json.loads(events.encode(reading.event_of(entry)))
    except InvalidEventData as error:
        return gettext("It cannot be written as an event: %s") % error
    if isinstance(document.get("data_base64"), str) and _may_hold(entry):
        document["data_base64"] = masking.HIDDEN
    return shown.json_block(document, gettext("envelope"))


def command(entry: AuditLog) -> dict[str, Any]:
    """Return the command that publishes another event like this one, and what is wrong with it."""
    data = reading.event_of(entry).data
    if isinstance(data, bytes):
        return {"reason": gettext("Its data is binary, which a command line cannot carry.")}
    masked = masking.hidden(data)
    words = [f"--subject={entry.subject}"] if entry.subject else []
    given = [] if data is None else [json.dumps(masked, ensure_ascii=False)]
    positional = [entry.routing_key, *given]
    if any(word.startswith("-") for word in positional):
        words.append("--")
    line = shlex.join(["python", "manage.py", "publish_event", *words, *positional])
    if len(line) > LONGEST_COMMAND:
        return {"reason": gettext("Its data is too long for a command line.")}
    return {"line": line, "masked": masked != data}


def entry_in(holder: Message | DeadLetter) -> AuditLog | None:
    """Read the event in a message, as the audit log would record it; ``None`` if it is none."""
    try:
        raw = codecs.unpacked(
            bytes(holder.body), holder.headers.get(COMPRESSION), shown.LARGEST_READ
        )
        event = events.decode(
            raw,
            content_type=holder.content_type or None,
            headers=holder.headers,
            properties=holder.properties,
            routing_key=holder.routing_key,
            exchange=holder.exchange,
        )
    except (InvalidEnvelope, NotAccepted):
        return None
    return _row(event, holder)


def _row(event: Event, holder: Message | DeadLetter) -> AuditLog:
    """Name the event as the table does: an id that was assigned is assigned only once."""
    known = {"event_id": holder.event_id, "source": holder.source or event.source}
    return AuditLog(**{**row_of(event), **known})


def _may_hold(entry: AuditLog) -> bool:
    data = reading.event_of(entry).data
    return isinstance(data, bytes) and masking.may_hold(data)
