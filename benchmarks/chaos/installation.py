"""What is it that is killed? Workers, a relay, publishers, on servers of this run's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import processes, servers
from .servers import Server

ROOT = Path(__file__).parent.parent.parent

#: Seconds of a lease, and what a restarted worker has to finish.
LEASE = 2
SQLITE_LEASE = 4
GRACE = 2

#: What a restarted worker has where nobody is killed: whoever needs more hands things back, and
#: then copies prove nothing.
PEACE = 20

#: A lingering handler is killed now and then without being poison.
MAX_CRASHES = 8

#: The installations that are tried: database and broker.
BROKERS: dict[str, tuple[type[Server] | None, type[Server] | None]] = {
    "sqlite": (None, None),
    "postgres": (servers.Postgres, None),
    "rabbitmq": (servers.Postgres, servers.RabbitMQ),
    "redis": (servers.Postgres, servers.Redis),
}


@dataclass
class Program:
    """A program that is started again when it has died."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None

    #: It is being restarted, so that it is not dead when it does not run.
    restarting: bool = False

    @property
    def running(self) -> bool:
        """Whether its first process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def family(self) -> list[int]:
        """Its processes, the one that we started first."""
        return processes.family(self.process.pid) if self.process and self.running else []


@dataclass
class Installation:
    """Database, broker and programs of one run."""

    broker_name: str
    folder: Path
    database: Server | None
    broker: Server | None
    mutation: str = ""
    keep: str | None = None
    max_crashes: int = MAX_CRASHES
    grace: float = GRACE
    programs: list[Program] = field(default_factory=list)

    @property
    def lease(self) -> float:
        """Seconds without a heartbeat after which work is taken over."""
        return LEASE if self.database else SQLITE_LEASE

    @property
    def servers(self) -> list[Server]:
        """What may be killed beside our own programs."""
        return [server for server in (self.database, self.broker) if server]

    def environment(self) -> dict[str, str]:
        """What every process of the run reads."""
        database = getattr(self.database, "url", f"sqlite:///{self.folder}/chaos.sqlite3")
        taskrouting: dict[str, Any] = {
            "BROKER_URL": getattr(self.broker, "url", "django://"),
            "EXCHANGE": "chaos",
            "SOURCE": "chaos",
            "LEASE": self.lease,
            # With so short a lease, whatever a process holds is renewed more than once a second.
            "AUDIT": {"batch_size": 100},
            "MAX_CRASHES": self.max_crashes,
            "SHUTDOWN_GRACE": self.grace,
        }
        if self.keep:
            taskrouting["OUTBOX_KEEP"] = self.keep
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.chaos.settings",
            "CHAOS_FOLDER": str(self.folder),
            "CHAOS_DATABASE_URL": database,
            "CHAOS_TASKROUTING": json.dumps(taskrouting),
            "PYTHONPATH": str(ROOT),
        }

    def add(self, name: str, *command: str) -> Program:
        """Start a program that is to be kept running."""
        program = Program(name, [sys.executable, "-m", *command])
        self.programs.append(program)
        self.start(program)
        return program

    def start(self, program: Program) -> None:
        """Start it, broken on purpose where that was asked for."""
        with open(self.folder / f"{program.name}.log", "ab") as log:
            program.process = subprocess.Popen(
                program.command,
                env={**self.environment(), "CHAOS_MUTATION": self.mutation},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def replace_the_dead(self) -> None:
        """Do what an operating system's supervisor does."""
        for program in self.programs:
            if not program.running and not program.restarting:
                self.start(program)

    def restart(self, program: Program) -> None:
        """End a program and start it again, as a deployment does."""
        program.restarting = True
        try:
            self.end(program)
            self.start(program)
        finally:
            program.restarting = False

    def end(self, program: Program) -> None:
        """End a program as an operator does; kill what is left of it after a while."""
        if program.process is None:
            return
        family = program.family
        program.process.terminate()
        try:
            program.process.wait(self.grace + 30)
        except subprocess.TimeoutExpired:
            print(f"{program.name} did not end; see {self.folder}/{program.name}.log")
            family = program.family
        processes.send(family, signal.SIGKILL)
        program.process.wait()

    def run(self, *command: str) -> None:
        """Run a management command to its end."""
        subprocess.run(
            [sys.executable, "-m", "django", *command],
            env=self.environment(),
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )


@contextmanager
def installation(broker: str, folder: Path, **options: Any) -> Iterator[Installation]:
    """An installation with servers of its own and empty tables, for a block."""
    with ExitStack() as stack:
        database, message_broker = (
            stack.enter_context(servers.running(kind)) if kind else None for kind in BROKERS[broker]
        )
        here = Installation(broker, folder, database, message_broker, **options)
        stack.callback(_kill, here.programs)
        here.run("migrate", "--run-syncdb", "--verbosity=0")
        yield here


def _kill(programs: Sequence[Program]) -> None:
    for program in programs:
        family = program.family
        processes.send(family, signal.SIGCONT)
        processes.send(family, signal.SIGKILL)
