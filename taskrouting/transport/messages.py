"""What is a message? Bytes with an address: one about to leave, or one that arrived.

The address of a *copy* made for one subscription (a retry, a lease, a redrive) travels in headers,
because every broker carries headers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from taskrouting import events
from taskrouting.events import Event

#: The store's queue of messages that wait to be routed through the exchange.
OUTBOX = "taskrouting.outbox"

#: Headers that address a copy, and the ones that say where it first came from.
SUBSCRIPTION = "x-taskrouting-subscription"
TOKEN = "x-taskrouting-token"  # noqa: S105  # a header's name, no secret
ROUTING_KEY = "x-taskrouting-routing-key"
EXCHANGE = "x-taskrouting-exchange"
RELAYED_AT = "x-taskrouting-relayed-at"
REPEAT = "x-taskrouting-repeat"

#: How often the broker has given up on it and we have put it back.
RETURNS = "x-taskrouting-returns"

#: A worker has written the message anew, and put it back into its queue.
REWRITTEN = "x-taskrouting-rewritten"

#: Kombu's header for how a body is compressed.
COMPRESSION = "compression"

#: The row that is kept until the message has been received.
ROW = "x-taskrouting-row"

#: What ``signing`` writes about all of this.
SIGNATURE = "x-taskrouting-signature"
OURS = (
    SUBSCRIPTION, TOKEN, ROUTING_KEY, EXCHANGE, RELAYED_AT, REPEAT, RETURNS, REWRITTEN, ROW,
    SIGNATURE,
)  # fmt: skip


#: Bytes in the longest text that AMQP takes as a property.
SHORT_STRING = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that waits in the store or is on its way to the broker."""

    #: The queue it is addressed to; ``OUTBOX`` means: let the exchange decide.
    queue: str = OUTBOX

    body: bytes
    exchange: str = ""
    routing_key: str
    event_id: str = ""
    source: str = ""

    #: The one subscription this copy is for, and the token that entitles it to run.
    subscription: str = ""
    token: UUID | None = None

    headers: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    content_type: str = ""
    content_encoding: str = "utf-8"

    #: 0 (default) to 9; higher goes first.
    priority: int = 0

    #: Not before this long from now, by the database's clock.
    delay: timedelta = timedelta(0)

    @property
    def wire_headers(self) -> dict[str, Any]:
        """The headers as sent: the foreign ones, and ours where they say something."""
        ours = {
            SUBSCRIPTION: self.subscription,
            TOKEN: str(self.token or ""),
            ROUTING_KEY: self.routing_key if self.queue != OUTBOX else "",
            EXCHANGE: self.exchange if self.queue != OUTBOX else "",
        }
        return {**self.headers, **{name: value for name, value in ours.items() if value}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A broker's copy of a message, not settled yet."""

    queue: str
    body: bytes
    content_type: str | None
    content_encoding: str | None
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]

    #: Where it was first published, whichever way it came here.
    exchange: str
    routing_key: str

    #: The broker has handed it to somebody before, or the relay sent it again: a suspect.
    redelivered: bool

    #: For an addressed copy: whom it is for, and its token.
    subscription: str | None = None
    token: UUID | None = None

    #: What the consumer needs to settle it: the channel's generation and the delivery tag.
    generation: int = 0
    tag: Any = None


def address(
    headers: Mapping[str, Any], exchange: str, routing_key: str
) -> tuple[str, str, str | None, UUID | None]:
    """Read exchange, routing key, subscription and token of an arriving message.

    A token that is no UUID (a foreign header of the same name) is no token.
    """
    texts = {name: value for name, value in headers.items() if isinstance(value, str)}
    subscription = texts.get(SUBSCRIPTION)
    try:
        token = UUID(texts[TOKEN]) if TOKEN in texts else None
    except ValueError:
        token = None
    if subscription is None or token is None:
        subscription = token = None
    return texts.get(EXCHANGE, exchange), texts.get(ROUTING_KEY, routing_key), subscription, token


def of_event(
    event: Event, *, exchange: str, routing_key: str | None = None, **more: Any
) -> Message:
    """Write ``event`` as it goes on the wire; ``routing_key`` where it came under another one.

    The AMQP properties repeat what the body says, for those who look at nothing else; one that is
    too long for AMQP is left out.
    Raises InvalidEventData as ``events.encode`` does.
    """
    texts = {
        "message_id": event.id,
        "type": event.type,
        "correlation_id": event.correlation_id or event.id,
        "app_id": event.source,
    }
    return Message(
        body=events.encode(event),
        exchange=exchange,
        routing_key=routing_key or event.type,
        event_id=event.id,
        source=event.source,
        properties={
            "timestamp": int(event.time.timestamp()),
            **{name: text for name, text in texts.items() if not excess(text)},
        },
        content_type=events.CONTENT_TYPE,
        **more,
    )


def excess(text: object) -> int:
    """Return the length of ``text`` in bytes where that is too long for a property; else 0."""
    if not isinstance(text, str):
        return 0
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return size if size > SHORT_STRING else 0


def property_fault(**texts: str | None) -> str:
    """Say which of these attributes AMQP could not carry as a property; empty if none.

    We publish no such event on any broker. One that comes from elsewhere is read all the same.
    """
    for name, text in texts.items():
        if size := excess(text):
            return f"{name}: {size} bytes long in UTF-8, and AMQP takes no more than {SHORT_STRING}"
    return ""
