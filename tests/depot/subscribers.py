"""Which handlers can a test command by an event's data?

``log``: a file to which a line is appended; ``seconds``: how long to take; ``until``: a file to
wait for; ``kill``: die by SIGKILL as long as the file named does not exist; ``fail``: raise;
``then``: publish an event under this routing key.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from django.contrib.auth.models import Group

from taskrouting import Retry, publish, subscribe

SOON = Retry(max_attempts=3, base=0.05, ceiling=0.1)


@subscribe("depot.write.#", queue="write_queue", name="depot.write", retry=SOON)
def write(event):
    """Write a row in the transaction of the delivery."""
    obey(event.data)
    Group.objects.create(name=f"{event.id}")


@subscribe("depot.call.#", queue="call_queue", name="depot.call", retry=SOON, effects="external")
def call(event):
    """Do something outside the database."""
    obey(event.data)


def obey(orders):
    """Do what the event's data says."""
    note(orders, "begin")
    pause(orders.get("seconds", 0))
    while (until := orders.get("until")) and not Path(until).exists():
        pause(0.02)
    if (kill := orders.get("kill")) and not Path(kill).exists():
        Path(kill).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if then := orders.get("then"):
        publish(then, {})
    if orders.get("fail"):
        raise ValueError(orders["fail"])
    note(orders, "end")


def note(orders, word):
    """Append one line, whole or not at all."""
    if path := orders.get("log"):
        with open(path, "a") as log:
            log.write(f"{word} {orders.get('n', '')} {os.getpid()}\n")


def pause(seconds):
    """Take ``seconds``, in a way that a test's reader cannot mistake for waiting in a test."""
    threading.Event().wait(seconds)
