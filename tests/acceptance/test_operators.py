"""Is an operator's work safe from the operator? Interrupted, two at once, on a terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from taskrouting import operators
from taskrouting.dead_letters import records
from taskrouting.models import DeadLetter, Delivery, Message
from taskrouting.transport.messages import Message as Parcel
from tests import processes
from tests.conformance.installation import Installation
from tests.conformance.places import EMBEDDED
from tests.waiting import wait_until

#: Seconds for a program to end, on a busy machine.
PATIENCE = 60

REDRIVE = ("redrive_dead_letters", "--reason", "refused")


def bury(count: int) -> None:
    """Keep ``count`` messages of one queue as dead letters."""
    for number in range(count):
        message = Parcel(
            queue="video_queue", body=b"{}", routing_key="video.upload", event_id=f"e{number}"
        )
        records.keep_message(message, DeadLetter.Reason.REFUSED, "no such queue")


def redriven(alias: str = "default") -> Any:
    """The dead letters that are redriven."""
    return DeadLetter.objects.using(alias).filter(resolution="redriven")


def sent(alias: str = "default") -> Counter[str]:
    """How many copies of each event wait in its queue."""
    rows = Message.objects.using(alias).filter(queue="video_queue")
    return Counter(rows.values_list("event_id", flat=True))


def told(alias: str = "default") -> int:
    """How many redrives the audit log will hear of."""
    return int(
        Message.objects.using(alias).filter(routing_key="taskrouting.operator.redriven").count()
    )


def start(*words: str) -> subprocess.Popen[str]:
    """Start a command as a program of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "django", *words],
        env=processes.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_redrive_that_is_stopped_half_way_loses_and_doubles_nothing(number: int) -> None:
    """What is redriven has one copy and one record, the rest is open; another run does the rest."""
    bury(40)

    with start(*REDRIVE, "--rate", "5") as program:
        wait_until(lambda: redriven().count() >= 3, timeout=PATIENCE, message="a few redrives")
        program.send_signal(number)
        _, errors = program.communicate(timeout=PATIENCE)

    assert program.returncode == (130 if number == signal.SIGINT else -number), errors
    half = redriven().count()
    assert 3 <= half < 40
    assert sent() == Counter(redriven().values_list("event_id", flat=True))
    assert told() == half

    with start(*REDRIVE) as program:
        printed, errors = program.communicate(timeout=PATIENCE)
    assert f"Dead letters redriven: {40 - half}." in printed, errors
    assert sent() == Counter({f"e{number}": 1 for number in range(40)})
    assert told() == 40


@pytest.mark.parametrize("place", EMBEDDED, indirect=True)
def test_two_operators_at_once_redrive_each_once(installation: Installation) -> None:
    """On two connections, at the same moment: of each dead letter one is told "done before"."""
    alias = installation.alias
    installation.configure(AUDIT={"queue": f"{installation.prefix}_audit"})
    bury(20)
    letters = list(DeadLetter.objects.using(alias))
    together = Barrier(2, timeout=PATIENCE)

    def at_once(letter: DeadLetter) -> bool:
        together.wait()
        return operators.redrive(letter)

    def press() -> list[bool]:
        try:
            return [at_once(each) for each in letters]
        finally:
            connections[alias].close()

    with ThreadPoolExecutor(2) as pool:
        first, second = (each.result() for each in [pool.submit(press) for _ in range(2)])

    assert [sorted(pair) for pair in zip(first, second, strict=True)] == [[False, True]] * 20
    assert sent(alias) == Counter({f"e{number}": 1 for number in range(20)})
    assert told(alias) == 20


def on_terminal(answer: str) -> str:
    """Run the command on a terminal, where ``answer`` is typed; return what is on the screen."""
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "django", *REDRIVE]
    program = subprocess.Popen(
        command, env=processes.environment(), stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    os.write(ours, f"{answer}\n".encode())
    screen = b""
    try:
        while chunk := os.read(ours, 1000):
            screen += chunk
    except OSError:  # Linux says so when the last program has left the terminal
        pass
    finally:
        os.close(ours)
    program.wait(PATIENCE)
    return screen.decode()


@pytest.mark.django_db(transaction=True)
def test_on_a_terminal_it_shows_the_count_asks_and_draws_a_bar() -> None:
    """Nobody redrives thousands by a slip of the hand, nor waits without seeing how far it is."""
    bury(3)

    refused = on_terminal("no")
    assert "Dead letters to redrive: 3." in refused
    assert "Nothing was redriven." in refused
    assert redriven().count() == 0

    screen = on_terminal("yes")
    assert "Redriving [##########" in screen
    assert "100% 3" in screen
    assert "Dead letters redriven: 3." in screen
    assert redriven().count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_pruning_that_is_interrupted_says_so_and_goes_on_another_time() -> None:
    """What went is told, what did not is still there, and the next run takes it."""
    long_ago = timezone.now() - timedelta(days=99)
    values = {"source": "s", "subscription": "n", "queue": "q", "state": "handled"}
    times = {"received_at": long_ago, "finished_at": long_ago}
    Delivery.objects.bulk_create(
        Delivery(event_id=str(number), **values, **times) for number in range(50_000)
    )

    with start("prune_router_history", "--older-than", "30") as program:
        left = Delivery.objects.count
        wait_until(lambda: left() < 50_000, timeout=PATIENCE, message="a step")
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=PATIENCE)

    assert program.returncode == 130, errors
    assert "Interrupted; the rest is still there." in errors
    assert 0 < left() < 50_000
    assert Message.objects.get().routing_key == "taskrouting.operator.pruned"
