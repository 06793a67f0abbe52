"""In which ways can a handler take too long? An event's data says which one to take.

``block``: how to block, the first time; ``mark``: the file that says it was not the first;
``log``: where to note ``begin`` and ``end``; ``seconds``: how long to take; ``until``: the file to
wait for; ``grow``: MiB that are never given back.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from pathlib import Path

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import connection

from taskrouting import Batch, Retry, subscribe

PREFIX = os.environ["LIMITS_PREFIX"]
FOR_EVER = 600.0
TICK = 0.02
SOON = Retry(max_attempts=10, base=0.05, ceiling=0.1)


def queue(name):
    """A queue that no other test uses."""
    return f"{PREFIX}_{name}"


@subscribe("write.#", queue=queue("write"), name="write", retry=SOON, timeout=0.5)
def write(event):
    """Block in the transaction of the delivery, or write in it."""
    handle(event)


@subscribe("call.#", queue=queue("call"), name="call", retry=SOON, timeout=0.5, effects="external")
def call(event):
    """Block while no transaction is open."""
    handle(event)


@subscribe("async.#", queue=queue("async"), name="async", retry=SOON, timeout=0.5)
async def block_the_loop(event):
    """Block as no ``async def`` should, or wait as it should."""
    if event.data["block"] == "await" and first_time(event.data):
        await asyncio.Event().wait()
    elif first_time(event.data):
        BLOCKS[event.data["block"]]()
    await sync_to_async(Group.objects.create)(name=event.id)


@subscribe(
    "bulk.#",
    queue=queue("bulk"),
    name="bulk",
    retry=Retry(max_attempts=2, base=0.05),
    timeout=1,
    batch=Batch(size=4, wait=5),
)
def write_all(events):
    """Write everything, and block over one of them, every time."""
    for event in events:
        Group.objects.create(name=event.id)
        if "block" in event.data:
            BLOCKS[event.data["block"]]()


@subscribe(
    "once.#", queue=queue("once"), name="once", retry=Retry(max_attempts=1), timeout=2,
    effects="external",
)  # fmt: skip
def outlive(event):
    """Hear of no timeout, and come back late."""
    come_back_late(event)


@subscribe("late.#", queue=queue("late"), name="late", retry=Retry(base=3600), timeout=2)
def outlive_and_write(event):
    """Hear of no timeout, come back late, and write then."""
    come_back_late(event)
    Group.objects.create(name=event.id)


@subscribe("slow.#", queue=queue("slow"), name="slow", effects="external")
def take_time(event):
    """Take as long as the test says; there is no limit."""
    take(event)


@subscribe("plain.#", queue=queue("plain"), name="plain")
def take_time_and_write(event):
    """Take as long as the test says, in the transaction of the delivery."""
    take(event)
    Group.objects.create(name=event.id)


def handle(event):
    """Block the first time, as the event says; then write."""
    if first_time(event.data):
        BLOCKS[event.data["block"]]()
    Group.objects.create(name=event.id)


def take(event):
    """Take time and memory, both as the test says."""
    note(event.data, "begin")
    GROWN.append(bytearray(event.data.get("grow", 0) << 20))
    threading.Event().wait(event.data.get("seconds", 0))
    wait_for(event.data.get("until"))
    note(event.data, "end")


def come_back_late(event):
    """Block until the test ends it, whatever is raised meanwhile."""
    note(event.data, "begin")
    try:
        Path(event.data["pipe"]).read_bytes()
        spin()  # where the exception arrives
    except BaseException:  # noqa: BLE001  # it is the handler's fault, that is the point
        note(event.data, "end")


def first_time(orders):
    """Whether this is the first time; from now on it is not."""
    if Path(orders["mark"]).exists():
        return False
    Path(orders["mark"]).touch()
    return True


def spin():
    """Keep the processor busy."""
    while True:
        pass


def read():
    """Wait for a byte that nobody sends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


def ask():
    """Wait for the database."""
    endless = {
        "postgresql": f"SELECT pg_sleep({FOR_EVER})",
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT max(i) FROM n",
    }
    with connection.cursor() as cursor:
        cursor.execute(endless[connection.vendor])


def nap():
    """Wait in C."""
    doze(FOR_EVER)


#: What handlers have taken and never give back.
GROWN: list[bytearray] = []

#: By another name: what must not be called in a test is just what is wanted here.
doze = time.sleep

BLOCKS = {"spin": spin, "read": read, "ask": ask, "nap": nap}


def wait_for(path):
    """Wait until the test makes a file, if there is one to wait for."""
    while path and not Path(path).exists():
        threading.Event().wait(TICK)


def note(orders, word):
    """Append one line, whole or not at all."""
    if path := orders.get("log"):
        with open(path, "a") as log:
            log.write(f"{word} {orders.get('n', '')} {os.getpid()}\n")
