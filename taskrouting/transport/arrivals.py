"""How is a message read, whichever transport it came by? As an ``Arrival``, bytes and all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .messages import REPEAT, Arrival, address
from .store import Claimed


def arrival_of(claimed: Claimed, queue: str) -> Arrival:
    """Read a claimed row of the store as what a consumer of ``queue`` would have received."""
    message = claimed.message
    exchange, routing_key, subscription, token = address(
        message.wire_headers, message.exchange, message.routing_key
    )
    return Arrival(
        queue=queue,
        body=message.body,
        content_type=message.content_type or None,
        content_encoding=message.content_encoding or None,
        headers=message.wire_headers,
        properties=message.properties,
        exchange=exchange,
        routing_key=routing_key,
        redelivered=claimed.deliveries > 1 or bool(message.headers.get(REPEAT)),
        subscription=subscription,
        token=token,
        tag=claimed.id,
    )


def of_kombu(message: Any, queue: str, generation: int, tag: int) -> Arrival:
    """Read a Kombu message of any transport."""
    # A virtual transport's own says where the message goes back to, not where it was published.
    info = message.properties.get("delivery_info") or message.delivery_info or {}
    headers = message.headers or {}
    exchange, routing_key, subscription, token = address(
        headers, str(info.get("exchange") or ""), str(info.get("routing_key") or "")
    )
    return Arrival(
        queue=queue,
        body=bytes(message.body or b""),
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=headers,
        properties={
            name: value
            for name, value in message.properties.items()
            if name not in ("application_headers", "delivery_info", "claimed", "delivery_tag")
        },
        exchange=exchange,
        routing_key=routing_key,
        redelivered=_redelivered(message, info, headers),
        subscription=subscription,
        token=token,
        generation=generation,
        tag=tag,
    )


def _redelivered(message: Any, info: Mapping[str, Any], headers: Mapping[str, Any]) -> bool:
    """Find the transports' different ways of saying so; a repeat by the relay counts too."""
    raw = getattr(message, "_raw", None)  # the virtual transports' flag is nowhere else
    return bool(
        info.get("redelivered")
        or _times_received(info) > 1
        or headers.get("redelivered")
        or headers.get(REPEAT)
        or (isinstance(raw, dict) and raw.get("redelivered"))
    )


def _times_received(info: Mapping[str, Any]) -> int:
    """Read how often SQS has handed the message out; elsewhere nothing says so."""
    try:
        return int(info["sqs_message"]["Attributes"]["ApproximateReceiveCount"])
    except (KeyError, TypeError, ValueError):
        return 1
