"""What do the handlers do that meet with faults? What the event's data tells them to.

=====================  ===================================================================
``log``                a file to which each begin and end is appended
``seconds``            how long to take
``until``              a file to wait for
``poison``             kill the process
``kill_once``          kill the process if this file is not there yet
``locks``              two rows to lock: touch ``met`` between, and wait for ``meets``
``conflicts``          how often to meet with a serialization failure
=====================  ===================================================================

There are three kinds, each on a queue of its own: ``fault.write`` writes a row in its delivery's
transaction, ``fault.tally`` the rows of a batch, ``fault.call`` works outside the database.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from django.contrib.auth.models import Group
from django.db import connection

from taskrouting import Batch, Retry, subscribe
from taskrouting.events import Event

#: Seconds after which a handler waits for no file any more.
PATIENCE = 60

WRITE, CALL, TALLY = "fault.write", "fault.call", "fault.tally"


def subscribe_all(prefix: str) -> list[str]:
    """Subscribe the three kinds; return the names of their queues."""
    queues = [f"{prefix}_{kind}_queue" for kind in ("write", "call", "tally")]
    retry = Retry(max_attempts=3, base=0.05, ceiling=0.1)
    subscribe(f"{WRITE}.#", queue=queues[0], name=WRITE, retry=retry)(write)
    subscribe(f"{CALL}.#", queue=queues[1], name=CALL, retry=retry, effects="external")(call)
    batch = Batch(size=10, wait=0.2)
    subscribe(f"{TALLY}.#", queue=queues[2], name=TALLY, retry=retry, batch=batch)(tally)
    return queues


def write(event: Event) -> None:
    """Write a row in the transaction of the delivery."""
    obey(event)
    conflict(event)
    Group.objects.create(name=event.id)


def tally(events: list[Event]) -> None:
    """Write a row for each event of a batch, all in one transaction."""
    for event in events:
        write(event)


def conflict(event: Event) -> None:
    """Get in another transaction's way, in earnest or by the server's word."""
    if locks := event.data.get("locks"):
        list(Group.objects.select_for_update().filter(name=locks[0]))
        Path(event.data["met"]).touch()
        await_file(event.data["meets"])
        list(Group.objects.select_for_update().filter(name=locks[1]))
    if (most := event.data.get("conflicts")) and begun(event) <= most:
        with connection.cursor() as cursor:
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")


def begun(event: Event) -> int:
    """How often the handler has begun with this event, by its log."""
    return Path(event.data["log"]).read_text().count(f"begin {event.id}")


def call(event: Event) -> None:
    """Do something outside the database."""
    obey(event)


def obey(event: Event) -> None:
    """Do what the event's data says."""
    orders = event.data
    if (mark := orders.get("kill_once")) and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    note(orders, f"begin {event.id}")
    threading.Event().wait(orders.get("seconds", 0))
    await_file(orders.get("until"))
    if orders.get("poison"):
        os.kill(os.getpid(), signal.SIGKILL)
    note(orders, f"end {event.id}")


def await_file(name: str | None) -> None:
    """Wait until there is a file called ``name``."""
    deadline = time.monotonic() + PATIENCE
    while name and not Path(name).exists() and time.monotonic() < deadline:
        threading.Event().wait(0.01)


def note(orders: dict[str, str], line: str) -> None:
    """Append one line, whole or not at all."""
    if path := orders.get("log"):
        with open(path, "a") as log:
            log.write(f"{line} {os.getpid()}\n")
