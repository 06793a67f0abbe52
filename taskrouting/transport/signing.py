"""Did somebody who knows our key write this message? HMAC-SHA256, with ``SIGNING_KEYS``.

A message is signed when it is made, and the signature travels with it in a header:

======================  ====================================================================
covered                 so that nobody without a key can
======================  ====================================================================
the body, unpacked      make an event, or change one
the routing key         hand an event to subscriptions that do not want it
the content type        have the body read as something else
subscription and token  run a retry, a lease or a redrive twice, or a delivery out of turn
the queue of such a     have it run somewhere else
copy
======================  ====================================================================

A signed message must be a structured CloudEvent: in the other forms attributes stand in headers
and properties. Whoever sends a whole message again, signature and all, is answered by the ledger:
it is a duplicate. Not covered: when the relay sent it, whether it was sent before, the exchange.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

from taskrouting import conf, envelope
from taskrouting.exceptions import InvalidEnvelope, NotAccepted

from . import codecs
from .messages import ROW, SIGNATURE, Arrival, Message

#: What a signature is of; the figure changes when what is covered does.
PURPOSE = "taskrouting-1"
ROW_PURPOSE = "taskrouting-row-1"

#: The last number a database gives to a row.
LAST_ROW = 2**63 - 1


def signed(message: Message) -> Message:
    """Return ``message`` signed with the newest key, where there is one; its address is final."""
    keys = conf.current().signing_keys
    if not keys:
        return message
    signature = _mac(keys[0], _covered(message), message.body)
    return replace(message, headers={**message.headers, SIGNATURE: signature})


def verify(arrival: Arrival) -> None:
    """Raise NotAccepted unless ``arrival``, unpacked, is signed; anything will do without keys."""
    settings = conf.current()
    if not settings.signing_keys:
        return
    signature = arrival.headers.get(SIGNATURE)
    if signature is None and settings.unsigned == "accept":
        return
    if signature is None:
        raise NotAccepted(
            "The message is not signed, and TASKROUTING['SIGNING_KEYS'] is set. Let its sender "
            "sign it, or set TASKROUTING['UNSIGNED'] to 'accept' until everybody does."
        )
    if envelope.media_type(arrival.content_type) != envelope.CONTENT_TYPE:
        raise NotAccepted(f"Of signed messages only {envelope.CONTENT_TYPE} is read.")
    if not _is_one_of(signature, _covered(arrival), arrival.body):
        raise NotAccepted(
            "The signature is not right: made with a key that is not (or no longer) among "
            "TASKROUTING['SIGNING_KEYS'], or the message was changed, or put where it was not sent."
        )


def is_trusted(arrival: Arrival) -> bool:
    """Say whether ``arrival``, as it came, would pass ``verify``."""
    try:
        verify(codecs.whole(arrival))
    except (InvalidEnvelope, NotAccepted):
        return False
    return True


def name_of_row(row: int, message: Message) -> int | str:
    """Name the row that waits for the reception of ``message``, so that nobody else can."""
    keys = conf.current().signing_keys
    if not keys:
        return row
    return f"{row}:{_mac(keys[0], [ROW_PURPOSE, str(row)], message.body)}"


def row_of(arrival: Arrival) -> int | None:
    """Return the row that waits for the reception of ``arrival``; ``None`` for one we never named.

    A stranger's number would let an event go that nobody has received.
    """
    settings = conf.current()
    name = arrival.headers.get(ROW)
    # A bool is an int to Python, not to a database, and not a row's name to us.
    if type(name) is int and (not settings.signing_keys or settings.unsigned == "accept"):
        return name if 0 < name <= LAST_ROW else None
    if not isinstance(name, str) or not settings.signing_keys:
        return None
    row, _, signature = name.partition(":")
    try:
        body = codecs.whole(arrival).body
    except (InvalidEnvelope, NotAccepted):
        return None
    return int(row) if _is_one_of(signature, [ROW_PURPOSE, row], body) else None


def _covered(message: Message | Arrival) -> list[str]:
    """Return what is signed beside the body; a queue only where no exchange has chosen it."""
    token, subscription = message.token, message.subscription
    copy = (message.queue, subscription or "", str(token)) if token else ("", "", "")
    return [PURPOSE, message.routing_key, message.content_type or "", *copy]


def _is_one_of(signature: object, covered: Iterable[str], body: bytes) -> bool:
    """Say whether any of the keys makes this signature."""
    if not isinstance(signature, str) or "\x00" in "".join(covered):
        return False
    given = signature.encode("ascii", "replace")
    keys = conf.current().signing_keys
    return any(hmac.compare_digest(given, _mac(key, covered, body).encode()) for key in keys)


def _mac(key: bytes, covered: Iterable[str], body: bytes) -> str:
    """Sign texts, of which none contains a NUL, and the body, each after a NUL but the first."""
    signature = hmac.new(key, digestmod=sha256)
    for text in covered:
        signature.update(text.encode("utf-8", "surrogatepass") + b"\x00")
    signature.update(body)
    return signature.hexdigest()
