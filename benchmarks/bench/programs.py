"""How are the measured programs started and ended? Each in a process group of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

#: Seconds that a worker has to finish what it does.
GRACE = 12.0

#: Seconds after which a program that should have ended by itself hangs.
LONG = 300.0


def manage(*words: str) -> list[str]:
    """A management command of Django's."""
    return [sys.executable, "-m", "django", *words]


def module(name: str, *words: str) -> list[str]:
    """A module of the site, or of a package."""
    return [sys.executable, "-m", name, *words]


def site(name: str, *words: str) -> list[str]:
    """A program of the site."""
    return module(f"benchmarks.bench.site.{name}", *words)


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of every program."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "benchmarks.bench.site.settings",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def run(command: Sequence[str], env: Mapping[str, str]) -> str:
    """Run a program to its end; return what it printed. Raises RuntimeError when it fails."""
    done = subprocess.run(
        command, env=environment(env), cwd=ROOT, capture_output=True, text=True, timeout=LONG,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])}: {done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def running(
    commands: Sequence[Sequence[str]], env: Mapping[str, str], log: Path
) -> Iterator[list[int]]:
    """Keep programs running; yields their ids. They have time to end what they have begun."""
    started: list[subprocess.Popen[bytes]] = []
    with open(log, "ab") as output:
        try:
            for command in commands:
                started.append(
                    subprocess.Popen(command, env=environment(env), cwd=ROOT, stdout=output,
                                     stderr=output, start_new_session=True)
                )  # fmt: skip
            yield [each.pid for each in started]
        finally:
            _end(started)


def _end(started: Sequence[subprocess.Popen[bytes]]) -> None:
    for each in started:
        if each.poll() is None:
            each.terminate()
    for each in started:
        try:
            each.wait(GRACE)
        except subprocess.TimeoutExpired:
            print("  (it did not stop when told to, and was killed)", flush=True)
        _kill_group(each.pid)
        each.wait()


def _kill_group(pid: int) -> None:
    """Kill what is left of a program that led a group of its own."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def tree(pids: Sequence[int]) -> list[int]:
    """The programs and all their descendants."""
    parents = dict(_parents())
    found = list(pids)
    for parent in found:  # grows while it is walked through
        found += [child for child, of in parents.items() if of == parent]
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            yield int(folder.name), int(stat.rpartition(")")[2].split()[1])
