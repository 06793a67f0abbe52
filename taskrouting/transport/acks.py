"""How is a broker told that many of its copies are settled? In as few words as it has.

==============  ====================================================================================
AMQP            one ``basic.ack`` with ``multiple`` for all up to the first that is not settled, for
                a channel carries one queue only; the others one by one
``django://``   one DELETE for all that were claimed together
others          one by one
==============  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import takewhile
from typing import Any

from .capabilities import Capabilities


def acknowledge(can: Capabilities, held: Mapping[int, Any], tags: Collection[int]) -> None:
    """Acknowledge those of the messages ``held`` of one queue, in their order, with ``tags``."""
    settled = [message for tag, message in held.items() if tag in tags]
    if can.embedded:
        settled[0].channel.qos.ack_all([message.delivery_tag for message in settled])
        return
    if can.confirms:
        together = sum(1 for _ in takewhile(lambda tag: tag in tags, held))
        if together:
            settled[together - 1].ack(multiple=True)
            settled = settled[together:]
    for message in settled:
        message.ack()
