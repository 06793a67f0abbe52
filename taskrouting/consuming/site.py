"""Where do deliveries run? The worker they belong to, and the transactions they share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import connections

from taskrouting import conf
from taskrouting.transport.messages import Arrival

from .leases import Leases
from .runs import Runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where deliveries run: the worker's name, its leases, and its way to the broker."""

    worker: str

    #: Hands a settled copy to the thread that owns the broker's socket.
    acknowledge: Callable[[Arrival], None]

    leases: Leases = field(default_factory=Leases)

    runs: Runs = field(default_factory=Runs)

    #: Asks for a fresh process in place of this one, for a reason. ``None``: nobody would start it.
    retire: Callable[[str], None] | None = None

    #: ``OUTBOX_KEEP`` is ``"until_received"``: a row waits for us to say that we have it.
    kept: bool = False

    #: Held by the one suspect that runs in this process.
    suspect_runs: threading.Lock = field(default_factory=threading.Lock)

    #: Set when the worker must leave, whatever still waits for the database.
    leaving: threading.Event = field(default_factory=threading.Event)


def database() -> str:
    """The alias of ledger and dead letters."""
    return conf.current().database


def isolate_on_commit() -> None:
    """Let an ``on_commit`` callback that raises be logged, and take no neighbour's along.

    Django would drop the callbacks behind it, and report a committed handler as failed.
    """
    connection: Any = connections[database()]  # the stubs know no robust callbacks
    connection.run_on_commit = [(*entry[:2], True) for entry in connection.run_on_commit]
