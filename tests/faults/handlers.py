"""What do the handlers do that meet with faults? What the event's data tells them to.

``log``: a file to which each begin and end is appended; ``seconds``: how long to take; ``until``:
a file to wait for; ``poison``: a file to touch before the process is killed; ``kill_once``: the same,
if the file is not there yet. Two kinds, each on a
queue of its own: ``fault.write`` writes a row in its delivery's transaction, ``fault.call`` works
outside the database.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from django.contrib.auth.models import Group

from taskrouting import Retry, subscribe
from taskrouting.events import Event

#: Seconds after which a handler waits for no file any more.
PATIENCE = 60

WRITE, CALL = "fault.write", "fault.call"


def subscribe_all(prefix: str) -> list[str]:
    """Subscribe both kinds; return the names of their queues."""
    queues = [f"{prefix}_write_queue", f"{prefix}_call_queue"]
    retry = Retry(max_attempts=3, base=0.05, ceiling=0.1)
    subscribe(f"{WRITE}.#", queue=queues[0], name=WRITE, retry=retry)(write)
    subscribe(f"{CALL}.#", queue=queues[1], name=CALL, retry=retry, effects="external")(call)
    return queues


def write(event: Event) -> None:
    """Write a row in the transaction of the delivery."""
    obey(event)
    Group.objects.create(name=event.id)


def call(event: Event) -> None:
    """Do something outside the database."""
    obey(event)


def obey(event: Event) -> None:
    """Do what the event's data says."""
    orders = event.data
    if (mark := orders.get("kill_once")) and not Path(mark).exists():
        kill(mark)
    note(orders, f"begin {event.id}")
    threading.Event().wait(orders.get("seconds", 0))
    await_file(orders.get("until"))
    if mark := orders.get("poison"):
        kill(mark)
    note(orders, f"end {event.id}")


def kill(mark: str) -> None:
    """Take this process down, and leave a mark."""
    Path(mark).touch()
    os.kill(os.getpid(), signal.SIGKILL)


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
