"""How does one run go? Start, kill, let it settle, check the books."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import django

from . import books, journal
from .books import Books
from .installation import GRACE, MAX_CRASHES, PEACE, Installation, Program, installation
from .mayhem import KILLS, Mayhem, Pace

T = TypeVar("T")

#: Seconds within which everybody is there, and a server that was killed answers.
SOON = 60.0

LOOK_EVERY = 1.0

WORKERS, PROCESSES = 2, 2

#: When nothing is killed any more, what is to be sent again much later is sent after this time.
PATIENCE = timedelta(seconds=10)

#: So often in a row nothing must be left to do: what a worker holds is not seen on its broker.
LOOKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to do: it ends when time, events and kills are all reached."""

    broker: str
    seed: int
    seconds: float
    events: int = 0
    kills: int = 0
    publishers: int = 2
    mutation: str = ""
    keep: str | None = None
    max_crashes: int = MAX_CRASHES
    pace: Pace = field(default_factory=Pace)

    #: Deliveries that may be under way before the publishers wait until half of them are done.
    under_way: int = 6_000

    #: One of so many events that are published one by one is poison. Each kills its process as
    #: often as ``max_crashes`` allows, and once more: in a long run, more often than all deeds.
    poison_in: int = 500

    #: Seconds without any progress after which a run is taken to have settled.
    quiet: float = 60.0

    #: Only these deeds, and events of these kinds; all when it is empty.
    deeds: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    @property
    def peaceful(self) -> bool:
        """Whether nobody is killed: workers are restarted, as for a deployment, and that is all."""
        return self.deeds == ("restart",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run did and found."""

    plan: Plan
    books: Books
    deeds: dict[str, int]

    #: Seconds until the mayhem ended, and from then until everything had settled.
    wall: float
    settling: float
    folder: Path = field(default_factory=Path)

    @property
    def violations(self) -> int:
        """How many promises were broken, counted one by one."""
        return sum(self.books.violations.values())


class Run:
    """One run, on an installation that is up."""

    def __init__(self, plan: Plan, here: Installation) -> None:
        self._plan = plan
        self._here = here
        self._began = time.monotonic()

    def go(self) -> Report:
        """Do all of it."""
        publisher = self._start()
        self._await_workers()
        mayhem = Mayhem(self._here, self._plan.seed, self._plan.pace, self._plan.deeds)
        mayhem.begin()
        try:
            self._until_enough(mayhem)
        finally:
            mayhem.end()
        wall = time.monotonic() - self._began
        self._here.end(publisher)
        self._here.programs.remove(publisher)
        self._settle()
        settling = time.monotonic() - self._began - wall
        for program in self._here.programs:
            self._here.end(program)
        return Report(
            plan=self._plan,
            books=books.audit(self._here),
            deeds=dict(mayhem.deeds()),
            wall=wall,
            settling=settling,
            folder=self._here.folder,
        )

    def _start(self) -> Program:
        """Two workers of two processes, one of them with its relay, and a relay that runs alone."""
        worker = ["django", "run_router_worker", "--processes", str(PROCESSES)]
        self._here.add("worker-a", *worker)
        self._here.add("worker-b", *worker, "--no-relay")
        self._here.add("relay", "django", "run_router_relay")
        seed, publishers = self._plan.seed * 1_000_003, self._plan.publishers
        options = ["--poison-in", str(self._plan.poison_in)]
        options += ["--peaceful"] if self._plan.peaceful else []
        options += ["--kinds", *self._plan.kinds] if self._plan.kinds else []
        command = ["benchmarks.chaos.publisher", str(seed), str(publishers), *options]
        return self._here.add("publisher", *command)

    def _await_workers(self) -> None:
        """Begin when everybody is there: who has not begun cannot be disturbed."""
        from taskrouting.models import WorkerProcess

        deadline = time.monotonic() + SOON
        while _patiently(WorkerProcess.objects.count) < WORKERS * PROCESSES:
            if time.monotonic() > deadline:
                raise TimeoutError(f"The workers do not begin; see {self._here.folder}.")
            time.sleep(0.1)
        self._began = time.monotonic()

    def _until_enough(self, mayhem: Mayhem) -> None:
        """Let it go on; keep the publishers from running away from the workers."""
        hold = self._here.folder / "hold"
        published = 0
        while not self._enough(mayhem, published) and not mayhem.failures:
            time.sleep(LOOK_EVERY)
            self._here.replace_the_dead()
            published = _patiently(_published)
            under_way = _patiently(_under_way)
            if under_way > self._plan.under_way:
                hold.touch()
            elif under_way < self._plan.under_way / 2:
                hold.unlink(missing_ok=True)

    def _enough(self, mayhem: Mayhem, published: int) -> bool:
        return (
            time.monotonic() - self._began >= self._plan.seconds
            and published >= self._plan.events
            and kills(mayhem.deeds()) >= self._plan.kills
        )

    def _settle(self) -> None:
        """Wait until everything is done, or nothing moves any more, whatever is tried."""
        fewest, moved_at, restarted, looks = float("inf"), time.monotonic(), False, 0
        while looks < LOOKS:
            left = sum(self._undone())
            looks = 0 if left else looks + 1
            if left < fewest:
                fewest, moved_at = left, time.monotonic()
            elif left and time.monotonic() - moved_at > self._plan.quiet:
                if restarted or not self._here.broker or self._plan.mutation:
                    return
                # RabbitMQ 3.10 sometimes leaves a quorum queue without a leader when it has been
                # killed. Whoever runs it would see that, and start it again.
                self._restart_broker()
                moved_at, restarted = time.monotonic(), True
            self._here.replace_the_dead()
            _patiently(_hasten)
            time.sleep(LOOK_EVERY)

    def _restart_broker(self) -> None:
        journal.write(self._here.folder, journal.DEEDS, deed="broker restarted as it stood still")
        if self._here.broker:
            self._here.broker.stop()
            self._here.broker.start()

    def _undone(self) -> tuple[int, ...]:
        """What is still to be done, in figures that fall to nothing."""
        from taskrouting.models import Delivery, Message

        return (
            _patiently(_under_way),
            _patiently(Delivery.objects.exclude(state__in=books.ENDED).count),
            _patiently(Message.objects.count),
            sum(_patiently(lambda: books.left_on_broker(self._here)).values()),
        )


def _hasten() -> None:
    """Do not wait for hours until what a broker lost for the tenth time is sent again."""
    from django.db.models.functions import Now

    from taskrouting.models import Message

    kept = Message.objects.filter(claim=None, deliveries__gt=0)
    kept.filter(available_at__gt=Now() + 2 * PATIENCE).update(available_at=Now() + PATIENCE)


def _published() -> int:
    from .models import Fact

    return Fact.objects.count()


def _under_way() -> int:
    """Audit rows and deliveries that are still to come."""
    from taskrouting.models import AuditLog, Delivery

    recorded, delivered = AuditLog.objects.count(), Delivery.objects.count()
    return _published() - recorded + books.expected_deliveries() - delivered


def _patiently(ask: Callable[[], T]) -> T:
    """Ask again until the server that answers is there."""
    from django.db import DatabaseError, InterfaceError, connections

    from taskrouting.exceptions import BrokerUnavailable

    deadline = time.monotonic() + SOON
    while True:
        try:
            return ask()
        except (DatabaseError, InterfaceError, BrokerUnavailable):
            connections.close_all()
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_EVERY)


def kills(deeds: Mapping[str, int]) -> int:
    """How many of the deeds were kills: of our processes and of servers, by the harness."""
    return sum(count for deed, count in deeds.items() if deed in KILLS)


@contextmanager
def prepared(plan: Plan, folder: Path) -> Iterator[Run]:
    """An installation that is up, and Django set up on its database in this process."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {"mutation": plan.mutation, "keep": plan.keep, "max_crashes": plan.max_crashes}
    options["grace"] = PEACE if plan.peaceful else GRACE
    with installation(plan.broker, folder, **options) as here:
        os.environ.update(here.environment())
        django.setup()
        yield Run(plan, here)
