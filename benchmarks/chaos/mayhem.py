"""What is done to an installation? Kills, stops, cuts and restarts, at random moments.

Two threads do it, one to our programs and one to the servers, so that a worker is also killed
while the broker is away. Every deed is noted in the journal before it is done.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from . import journal, processes, servers
from .installation import Installation, Program

Deed = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things happen: seconds between two deeds, on average."""

    programs: float = 1.2
    servers: float = 5.0


#: What is done to our programs, with how often each is chosen.
TO_PROGRAMS = {
    "kill_process": 50,
    "kill_worker": 12,
    "kill_relay": 12,
    "stop_briefly": 8,
    "stop_for_long": 8,
    "restart": 10,
}

#: What is done to the servers.
TO_SERVERS = {
    "kill_broker": 4,
    "pause_broker": 4,
    "cut_broker": 4,
    "flush_broker": 3,
    "kill_database": 4,
    "pause_database": 4,
    "cut_database": 4,
    "lock_database": 4,
}
DEEDS = (*TO_PROGRAMS, *TO_SERVERS)

#: What SIGKILL ends; the deeds that count as a kill.
KILLS = ("worker process killed", "worker killed", "relay killed", "broker killed",
         "database killed")  # fmt: skip


class Mayhem:
    """Everything that goes wrong in one run."""

    def __init__(
        self, installation: Installation, seed: int, pace: Pace, deeds: Sequence[str] = ()
    ) -> None:
        """``deeds`` limits what is done, each as often as the others; empty means everything."""
        self._here = installation
        self._deeds = deeds
        self._stopped: list[threading.Timer] = []
        self._over = threading.Event()
        self._threads = [
            self._thread(random.Random(seed), self._to_programs, pace.programs),
            self._thread(random.Random(seed + 1), self._to_servers, pace.servers),
        ]
        self.failures: list[Exception] = []

    def begin(self) -> None:
        """Start."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Stop, with every server up and every process running."""
        self._over.set()
        for thread in [*self._threads, *self._stopped]:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def deeds(self) -> Counter[str]:
        """How often each thing has been done."""
        return Counter(entry["deed"] for entry in journal.read(self._here.folder, journal.DEEDS))

    def _thread(
        self, dice: random.Random, choices: Callable[[], dict[str, int]], every: float
    ) -> threading.Thread:
        def work() -> None:
            try:
                while not self._over.wait(dice.expovariate(1 / every)):
                    weights = choices()
                    if self._deeds:
                        weights = {deed: 1 for deed in weights if deed in self._deeds}
                    if weights:
                        deed = dice.choices(list(weights), list(weights.values()))[0]
                        getattr(self, deed)(dice)
            except Exception as error:  # noqa: BLE001  # raised where the run ends
                self.failures.append(error)

        return threading.Thread(target=work, daemon=True)

    def _to_programs(self) -> dict[str, int]:
        return TO_PROGRAMS

    def _to_servers(self) -> dict[str, int]:
        here = self._here
        there = {
            "broker": here.broker is not None,
            "flush_broker": isinstance(here.broker, servers.Redis),
            "database": here.database is not None,
            "lock_database": here.database is None,
        }
        return {
            deed: weight
            for deed, weight in TO_SERVERS.items()
            if there.get(deed, there[deed.partition("_")[2]])
        }

    # What is done to our programs

    def kill_process(self, dice: random.Random) -> None:
        """Kill one of a worker's processes; its supervisor replaces it."""
        if children := self._worker(dice).family[1:]:
            self._kill("worker process killed", [dice.choice(children)])

    def kill_worker(self, dice: random.Random) -> None:
        """Kill a worker with all its processes, or its supervisor alone."""
        family = self._worker(dice).family
        if family:
            self._note("worker killed", family)
            processes.send(family if dice.random() < 1 / 2 else family[:1], signal.SIGKILL)

    def kill_relay(self, dice: random.Random) -> None:
        """Kill the relay that runs alone."""
        if family := self._relay().family:
            self._kill("relay killed", family)

    def stop_briefly(self, dice: random.Random) -> None:
        """Stop a process for less than its lease."""
        self._stop(dice, self._here.lease * dice.uniform(0.1, 0.6))

    def stop_for_long(self, dice: random.Random) -> None:
        """Stop a process past its lease: what it held is taken over meanwhile."""
        self._stop(dice, self._here.lease * dice.uniform(1.2, 2))

    def restart(self, dice: random.Random) -> None:
        """Restart a worker as a deployment does."""
        program = self._worker(dice)
        if program.running:
            self._note("worker restarted", program.family)
            self._here.restart(program)

    # What is done to the servers

    def kill_broker(self, dice: random.Random) -> None:
        """Kill the broker and start it after a while."""
        self._kill_server("broker", dice)

    def kill_database(self, dice: random.Random) -> None:
        """Kill the database server and start it after a while."""
        self._kill_server("database", dice)

    def pause_broker(self, dice: random.Random) -> None:
        """Freeze the broker: its sockets stay open and nothing comes."""
        self._pause("broker", dice)

    def pause_database(self, dice: random.Random) -> None:
        """Freeze the database server."""
        self._pause("database", dice)

    def cut_broker(self, dice: random.Random) -> None:
        """Close every connection to the broker."""
        self._note("broker cut")
        self._server("broker").cut()

    def cut_database(self, dice: random.Random) -> None:
        """Close every connection to the database."""
        self._note("database cut")
        self._server("database").cut()

    def flush_broker(self, dice: random.Random) -> None:
        """Empty Redis."""
        self._note("broker flushed")
        broker = self._here.broker
        assert isinstance(broker, servers.Redis)  # noqa: S101  # for the type checker
        broker.flush()

    def lock_database(self, dice: random.Random) -> None:
        """Hold SQLite's write lock for longer than anybody waits for it."""
        seconds = dice.uniform(0.5, 4)
        self._note("database locked", seconds=seconds)
        connection = sqlite3.connect(self._here.folder / "chaos.sqlite3", timeout=30)
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._over.wait(seconds)
        finally:
            connection.close()

    # How it is done

    def _worker(self, dice: random.Random) -> Program:
        return dice.choice([each for each in self._here.programs if each.name.startswith("worker")])

    def _relay(self) -> Program:
        return next(each for each in self._here.programs if each.name == "relay")

    def _kill(self, deed: str, pids: list[int]) -> None:
        self._note(deed, pids)
        processes.send(pids, signal.SIGKILL)

    def _stop(self, dice: random.Random, seconds: float) -> None:
        if pids := [pid for program in self._here.programs for pid in program.family[1:]]:
            pid = dice.choice(pids)
            self._note("process stopped", [pid], seconds=seconds)
            processes.send([pid], signal.SIGSTOP)
            again = threading.Timer(seconds, processes.send, [[pid], signal.SIGCONT])
            again.start()
            self._stopped.append(again)

    def _server(self, which: str) -> servers.Server:
        server = getattr(self._here, which)
        assert isinstance(server, servers.Server)  # noqa: S101  # for the type checker
        return server

    def _kill_server(self, which: str, dice: random.Random) -> None:
        self._note(f"{which} killed")
        self._server(which).kill()
        self._over.wait(dice.uniform(0, 3))
        self._server(which).start()
        self._note(f"{which} started")

    def _pause(self, which: str, dice: random.Random) -> None:
        seconds = dice.uniform(0.2, 4)
        self._note(f"{which} frozen", seconds=seconds)
        self._server(which).pause()
        self._over.wait(seconds)
        self._server(which).resume()

    def _note(self, deed: str, pids: list[int] | None = None, **more: float) -> None:
        journal.write(self._here.folder, journal.DEEDS, deed=deed, pids=pids or [], **more)
