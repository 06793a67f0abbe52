"""How does a test run a real worker? As a subprocess on the test's own database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connections

from taskrouting.models import WorkerProcess
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
#: So many lines tell why a test failed.
LAST_WORDS = 100

KEYS = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")


def database(alias: str = "default", **changes: Any) -> str:
    """This test's database ``alias`` as a subprocess reads it: its default, where it is."""
    settings = {key: connections[alias].settings_dict.get(key) for key in KEYS}
    return json.dumps({**settings, "NAME": str(settings["NAME"]), **changes})


def environment(**taskrouting: Any) -> dict[str, str]:
    """The environment of a subprocess that shares this test's database."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.depot.settings",
        "DEPOT_DATABASE": database(),
        "DEPOT_TASKROUTING": json.dumps(taskrouting),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
    }


class Worker:
    """A running ``run_router_worker``."""

    def __init__(
        self,
        log: Path,
        *options: str,
        command: str = "run_router_worker",
        variables: Mapping[str, str] | None = None,
        **taskrouting: Any,
    ) -> None:
        """``variables`` of the environment go before those that share the test's database."""
        self.log = log
        started = [sys.executable, "-m", "django", command, *options]
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                started,
                env={**environment(**taskrouting), **(variables or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self, processes: int = 1) -> None:
        """Wait until its processes consume."""
        wait_until(
            lambda: self.printed().count(" consumes ") >= processes or self.ended(),
            timeout=30,
            message="the worker to consume",
        )
        assert not self.ended(), self.printed()

    def printed(self) -> str:
        """What it has said so far."""
        return self.log.read_text()

    def last_words(self) -> list[str]:
        """The last lines that it has said so far, for who asks why a test failed."""
        return self.printed().splitlines()[-LAST_WORDS:]

    def ended(self) -> bool:
        """Whether the supervisor has ended."""
        return self.process.poll() is not None

    def children(self) -> list[int]:
        """The process ids of its worker processes, by their heartbeat rows."""
        return list(WorkerProcess.objects.values_list("pid", flat=True))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        self.process.send_signal(number)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to every process, as systemd and a terminal do."""
        os.killpg(self.process.pid, number)

    def wait(self, timeout: float = 30) -> int:
        """Wait for the end; return the exit code."""
        return self.process.wait(timeout)


@contextmanager
def worker(tmp_path: Path, *options: str, **taskrouting: Any) -> Iterator[Worker]:
    """Run a worker for a block; kill what is left of it."""
    running = Worker(tmp_path / "worker.log", *options, **taskrouting)
    try:
        yield running
    except BaseException:
        sys.stderr.write(
            "\n".join([f"What the worker said ({running.log}):", *running.last_words()])
        )
        raise
    finally:
        if not running.ended():
            running.signal(signal.SIGTERM)
            try:
                running.wait(15)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.wait()
