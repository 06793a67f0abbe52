"""When is a message sent again that is kept until its queue has received it?

Later and later: the broker's own redelivery of what a dead worker held comes first. And not while
it may only wait behind others, where the broker shows that: a copy more would be a suspect, which
runs alone, and make a long queue longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from taskrouting import conf
from taskrouting.transport import signing
from taskrouting.transport.messages import REPEAT, ROW
from taskrouting.transport.sending import Sender
from taskrouting.transport.store import Claimed

#: The first interval, in leases. It doubles each time, up to the second figure.
RESEND, LATEST_RESEND = 5, timedelta(hours=1)


def until_again(deliveries: int) -> timedelta:
    """How long after having been handed out so often is a row due to be sent again?"""
    first = RESEND * conf.current().lease
    return min(first * (1 << min(deliveries - 1, 20)), LATEST_RESEND)


def marked(row: Claimed) -> Claimed:
    """Name the row that waits for its reception; what was sent before is a repeat, so a suspect."""
    repeat = {REPEAT: row.deliveries - 1} if row.deliveries > 1 else {}
    name = signing.name_of_row(row.id, row.message)
    headers = {**row.message.headers, ROW: name, **repeat}
    return replace(row, message=replace(row.message, headers=headers))


def parted(
    due: Sequence[Claimed], sender: Sender, *, rests: bool = False
) -> tuple[list[Claimed], list[Claimed]]:
    """Part the rows of one queue: what must be sent, and what may still wait on the broker.

    Of a queue that ``rests``, since an operator has paused it, whatever was sent may.

    A row that is due again was sent an interval ago, or more. While the next message of its queue
    has waited for longer than that, what was sent after it may wait as well. Who is wrong there,
    since it was sent earlier or its relay died before that, waits until the interval is longer than
    the queue, and at the longest interval no more.
    """
    again = {row.message.priority for row in due if row.deliveries > 1}
    waits = {each: sender.longest_wait(due[0].message.queue, each) for each in again}
    to_send: list[Claimed] = []
    queueing: list[Claimed] = []
    for row in due:
        interval = until_again(row.deliveries - 1) if row.deliveries > 1 else LATEST_RESEND
        waits_behind = interval < LATEST_RESEND and waits[row.message.priority] >= interval
        may_wait = waits_behind or (rests and row.deliveries > 1)
        (queueing if may_wait else to_send).append(row)
    return to_send, queueing
