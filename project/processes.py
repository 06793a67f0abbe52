"""How are the site's processes started, watched and stopped?

Each is a command of ``manage.py`` in a session of its own, so that Ctrl-C reaches only the one who
started them, who then stops them in order. A worker that is told to stop once drains first; it is
killed only when it takes longer than it was given.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from django.conf import settings

#: Seconds that a process may take to stop; longer than a worker's own grace.
GRACE = 40


@dataclass(frozen=True, slots=True)
class Program:
    """A running command of ``manage.py``, and the file that its output goes to, if it does."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path | None = None

    @property
    def exit_code(self) -> int | None:
        """What it ended with; ``None`` while it runs."""
        return self.process.poll()

    def last_words(self, lines: int = 15) -> str:
        """The end of what it wrote."""
        if self.log is None:
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, grace: float = GRACE) -> int:
        """Ask it to end and, after ``grace`` seconds, end it and all it started.

        Returns its exit code.
        """
        if self.exit_code is None:
            self.process.terminate()
        try:
            return self.process.wait(grace)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL
        finally:
            self._kill_group()

    def _kill_group(self) -> None:
        """Leave nothing behind; a group that is empty already is what we want."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start(name: str, *arguments: str, log: Path | None = None) -> Program:
    """Start ``manage.py`` with ``arguments``; its output goes to ``log``, or where ours goes."""
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with _output(log) as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
        )
    return Program(name, process, log)


@contextmanager
def _output(log: Path | None) -> Iterator[IO[bytes] | None]:
    """The file to write to, which the process keeps open after we have closed it."""
    if log is None:
        yield None
    else:
        with log.open("wb") as output:
            yield output


def watch(programs: Sequence[Program], stop: threading.Event) -> Program | None:
    """Wait for ``stop``, or for a program to end; return that one."""
    while not stop.wait(0.3):
        for program in programs:
            if program.exit_code is not None:
                return program
    return None


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set while the block runs."""
    stop = threading.Event()
    # A handler runs in between, perhaps while an event is being waited for or set, whose lock it
    # would wait for in vain; to put into this queue is safe at any time.
    asked: queue.SimpleQueue[None] = queue.SimpleQueue()

    def note(number: int, frame: FrameType | None) -> None:
        asked.put(None)

    def heed() -> None:
        asked.get()
        stop.set()

    threading.Thread(target=heed, daemon=True).start()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        asked.put(None)


def free_port() -> int:
    """A port of this machine that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
