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
    print(os.getpid(), "works", flush=True)
    threading.Thread(target=heed, args=[dismissed, stop], daemon=True).start()
    while not stop.wait(0.02):
        if leads():
            print(os.getpid(), "leads", flush=True)
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


def said(supervisor: subprocess.Popen[str]) -> tuple[int, str]:
    """Read the next line: which process, and whether it works or leads."""
    assert supervisor.stdout is not None
    pid, what = supervisor.stdout.readline().split()
    return int(pid), what


def begun(supervisor: subprocess.Popen[str]) -> tuple[set[int], int]:
    """Wait until three processes work; return them, and the one that leads."""
    lines = [said(supervisor) for _ in range(4)]
    (leader,) = (pid for pid, what in lines if what == "leads")
    return {pid for pid, what in lines if what == "works"}, leader


def test_one_process_leads_whoever_dies(supervisor: subprocess.Popen[str]) -> None:
    """When the leader dies another one leads at once; who is started in its place does not."""
    working, leader = begun(supervisor)
    assert len(working) == 3
    first, second = working - {leader}

    os.kill(first, signal.SIGKILL)
    third, what = said(supervisor)
    assert what == "works"
    os.kill(leader, signal.SIGKILL)
    lines = [said(supervisor) for _ in range(2)]
    assert sorted(what for _, what in lines) == ["leads", "works"]
    assert next(pid for pid, what in lines if what == "leads") in {second, third}

    supervisor.terminate()
    assert supervisor.wait(10) == 0
    assert supervisor.stdout is not None
    assert supervisor.stdout.read() == ""


def test_whom_an_operator_stops_nobody_follows(supervisor: subprocess.Popen[str]) -> None:
    """Another leads from then on and nobody is started; when all are stopped, the command ends."""
    working, leader = begun(supervisor)
    while True:
        os.kill(leader, signal.SIGUSR1)
        working.remove(leader)
        if not working:
            break
        leader, what = said(supervisor)
        assert (leader in working, what) == (True, "leads")

    assert supervisor.wait(10) == 0
    assert supervisor.stdout is not None
    assert supervisor.stdout.read() == ""
