"""Does a database handler write where its outcome does not commit? Then say so.

``effects="database"`` promises that the handler's writes and its outcome commit together. That
holds on the database of the ledger, and on no other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

from django.db import connections

from taskrouting import conf
from taskrouting.exceptions import StrayWriteWarning
from taskrouting.routing.subscriptions import Subscription

WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE")


def noticed(subscription: Subscription) -> AbstractContextManager[object]:
    """Warn of writes on other databases than the ledger's while the block runs."""
    others = [alias for alias in connections.settings if alias != conf.current().database]
    if not others or subscription.effects != "database":
        return nullcontext()
    stack = ExitStack()
    for alias in others:
        wrapper = _watch(subscription.name, alias)
        stack.enter_context(connections[alias].execute_wrapper(wrapper))
    return stack


def _watch(subscription: str, alias: str) -> Callable[..., Any]:
    def watch(execute: Callable[..., Any], sql: str, *more: Any) -> Any:
        if sql.lstrip()[:7].upper().startswith(WRITES):
            warnings.warn(
                f"Subscription {subscription!r} has effects='database' and wrote on database "
                f"{alias!r}, which does not commit with its outcome on "
                f"{conf.current().database!r}: after a crash that write may happen twice. Make it "
                "idempotent and declare effects='external', or write where the ledger is.",
                StrayWriteWarning,
                stacklevel=2,
            )
        return execute(sql, *more)

    return watch
