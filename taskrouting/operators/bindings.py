"""How does an operator remove bindings that the code no longer declares?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from taskrouting.routing.topology import Binding
from taskrouting.transport import inspection
from taskrouting.transport.broker import Broker

from .telling import UNBOUND, acting, tell


def unbind(
    broker: Broker,
    connection: Any,
    exchange: str,
    bindings: Sequence[Binding],
    *,
    actor: str | None = None,
) -> None:
    """Remove ``bindings`` from ``exchange`` on the broker; one that is not there is fine.

    ``connection`` is an open one to ``broker``. Telling it commits when the broker has done it, so
    what fails is not told, and can be tried again.
    """
    if not bindings:
        return
    told = [{"pattern": each.pattern, "queue": each.queue} for each in bindings]
    with acting(actor), transaction.atomic(using=broker.database):
        tell(UNBOUND, {"exchange": exchange, "bindings": told})
        inspection.unbind(broker, connection, exchange, bindings)
