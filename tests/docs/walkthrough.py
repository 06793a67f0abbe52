"""Does the code on a page do what the page says? Run it as a reader would, in order."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.docs.pages import ROOT, Block
from tests.waiting import wait_until

#: Seconds for a command, and for a line that a program in the background is to print.
PATIENCE = 60

#: Commands that end only when they are told to.
BACKGROUND = re.compile(r"runserver|run_router_worker(?!.*--burst)|run_router_relay(?!.*--burst)")


def build_wheel(folder: Path) -> Path:
    """Build the wheel as a release would."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def make_venv(folder: Path, *requirements: str) -> Path:
    """Make a virtual environment that holds what is asked for, and what that needs."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*install, *requirements], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


class Walkthrough:
    """A reader with a terminal, and a second one for what runs beside."""

    def __init__(self, venv: Path, folder: Path) -> None:
        self.folder = folder
        self._log_folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: dict[str, Path] = {}
        self._read = 0
        self.port = _free_port()
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "PYTEST_"))},
            "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PIP_NO_INDEX": "1",
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SUPERUSER_USERNAME": "ana",
            "DJANGO_SUPERUSER_EMAIL": "ana@example.org",
            "DJANGO_SUPERUSER_PASSWORD": "correct horse battery staple",
        }

    def follow(self, blocks: Iterable[Block]) -> None:
        """Do what the blocks say, one after the other."""
        for block in blocks:
            if block.language == "console":
                for command, lines in block.commands:
                    self._enter(command, lines)
            elif block.language == "text":
                self._expect(block.text.splitlines())
            elif block.file:
                self._write(block.file, block.text)

    def run(self, command: str) -> str:
        """Run one command to its end; return all that it printed."""
        strict = {} if command.startswith("pip ") else {"PYTHONWARNINGS": "error"}
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment | strict,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done.stdout

    def shell(self, code: str) -> str:
        """Run Python code in the project; return its last printed line."""
        quoted = code.replace("'", "'\\''")
        return self.run(f"python manage.py shell -v 0 -c '{quoted}'").strip().rpartition("\n")[2]

    def stop(self) -> None:
        """End what runs in the background, and see that it ends well."""
        for command in list(self._running):
            self._end(command)

    def _enter(self, command: str, lines: list[str]) -> None:
        if command.startswith("cd "):
            self.folder /= command[3:]
        elif BACKGROUND.search(command):
            self._start(command)
            self._expect(lines)
        elif "createsuperuser" in command:
            self.run(f"{command} --noinput")
        else:
            _check(command, self.run(command), lines)

    def _start(self, command: str) -> None:
        """Start a command in the background; the same one again is Ctrl-C and a new start."""
        kind = "runserver" if "runserver" in command else "worker"
        if kind in self._running:
            self._end(kind)
        if kind == "runserver":
            command += f" --noreload 127.0.0.1:{self.port}"
        log = self._log_folder / f"{kind}-{len(self._logs)}.log"
        with log.open("wb") as output:
            self._running[kind] = subprocess.Popen(
                ["bash", "-c", f"exec env {command}"],
                cwd=self.folder,
                env=self._environment | {"PYTHONWARNINGS": "error"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if kind == "worker":
            self._logs["worker"], self._read = log, 0
            self._expect(["Consuming …"])
            self._read = 0
        else:
            wait_until(self._serves, timeout=PATIENCE, message="the web server")

    def _end(self, kind: str) -> None:
        process = self._running.pop(kind)
        process.send_signal(signal.SIGTERM if kind == "worker" else signal.SIGINT)
        code = process.wait(PATIENCE)
        assert code == 0, f"{kind} ended with {code}"

    def _expect(self, lines: Iterable[str]) -> None:
        """Wait until the worker has printed each of ``lines``, in this order."""
        for line in lines:
            wanted = _pattern(line)
            found = wait_until(
                lambda wanted=wanted: wanted.search(self._printed(), self._read),
                timeout=PATIENCE,
                message=f"{line!r} from the worker, which has printed:\n{self._printed()}",
            )
            self._read = found.end()

    def _printed(self) -> str:
        return self._logs["worker"].read_text(encoding="utf-8")

    def _serves(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _write(self, file: str, text: str) -> None:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as opened:
            opened.write(f"\n{text}")


def _check(command: str, printed: str, lines: list[str]) -> None:
    """See that ``lines`` were printed, in their order."""
    at = 0
    for line in lines:
        found = _pattern(line).search(printed, at)
        assert found, f"$ {command}\nhas not printed {line!r} where it should, but:\n{printed}"
        at = found.end()


def _pattern(line: str) -> re.Pattern[str]:
    parts = (re.escape(part) for part in line.strip().split("…"))
    return re.compile(rf"^\s*{'.*'.join(parts)}\s*$", re.MULTILINE)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
