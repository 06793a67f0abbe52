"""Which of a worker's processes leads, whoever of them dies?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.processes import ROOT

PROGRAM = """
import os, signal, threading
from datetime import timedelta
import django
django.setup()
from taskrouting.consuming.supervisor import DISMISSED, Supervisor

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

def work(stop, leads):
    dismissed = threading.Event()
    print(os.getpid(), leads, flush=True)
    threading.Thread(target=heed, args=[dismissed, stop], daemon=True).start()
    stop.wait()
    return DISMISSED if dismissed.is_set() else 0

def heed(dismissed, stop):
    if signal.sigwait([signal.SIGUSR1]):
        dismissed.set()
        stop.set()

raise SystemExit(
    Supervisor(work, processes=3, grace=timedelta(seconds=5), burst=False).run()
)
"""


@pytest.fixture
def supervisor() -> Iterator[subprocess.Popen[str]]:
    """Run a supervisor of three processes that say whether they lead."""
    variables = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def said(supervisor: subprocess.Popen[str]) -> tuple[int, bool]:
    """Read the next line: who has started, and whether it leads."""
    assert supervisor.stdout is not None
    pid, leads = supervisor.stdout.readline().split()
    return int(pid), leads == "True"


def test_one_process_leads_whoever_dies(supervisor: subprocess.Popen[str]) -> None:
    """The one that takes a leader's place leads, and the one that takes another's does not."""
    started = dict(said(supervisor) for _ in range(3))
    assert sorted(started.values()) == [False, False, True]
    leader = next(pid for pid, leads in started.items() if leads)
    other = next(pid for pid, leads in started.items() if not leads)

    os.kill(other, signal.SIGKILL)
    assert said(supervisor)[1] is False
    os.kill(leader, signal.SIGKILL)
    assert said(supervisor)[1] is True

    supervisor.terminate()
    assert supervisor.wait(10) == 0


def test_whom_an_operator_stops_nobody_follows(supervisor: subprocess.Popen[str]) -> None:
    """Nor is another disturbed for it; when all are stopped, the command ends."""
    started = dict(said(supervisor) for _ in range(3))
    for pid in sorted(started, key=started.__getitem__, reverse=True):
        os.kill(pid, signal.SIGUSR1)

    assert supervisor.wait(10) == 0
    assert supervisor.stdout is not None
    assert supervisor.stdout.read() == ""
