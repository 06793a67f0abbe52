"""What is a server that may be killed? A process with what it needs to be started again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import processes

#: Seconds for a server to answer after it was started; RabbitMQ on a busy machine is the slowest.
PATIENCE = 120.0


class Server:
    """One server process with what it needs to be started again."""

    name = "server"

    #: The user it runs as, where that is not ours.
    user: str | None = None

    #: The signal by which its operator ends it.
    farewell = signal.SIGTERM

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its first process."""
        if self._process is None:
            raise ValueError(f"{self.name} has not been started.")
        return self._process.pid

    def command(self) -> Sequence[str]:
        """What starts it in the foreground."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """What it reads from its environment."""
        return os.environ

    def answers(self) -> bool:
        """Whether it can be used."""
        raise NotImplementedError

    def cut(self) -> None:
        """Close every connection to it from its side."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it answers."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if self._process is None or self._process.poll() is not None:
                self._process = self._started()
            if self.answers():
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} does not answer; see {self.folder}/log.")
            time.sleep(0.05)

    def kill(self) -> None:
        """End all its processes at once, with SIGKILL."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """End it as its operator does."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.farewell)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def pause(self) -> None:
        """Freeze it: it keeps its sockets and answers nobody."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            processes.send(processes.family(self._process.pid), number)

    def _started(self) -> subprocess.Popen[bytes]:
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                self.command(),
                env=dict(self.environment()),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self.user,
            )
