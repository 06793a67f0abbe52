"""How do tests use the example site? As processes with a database and files of their own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from urllib.error import URLError

import av

from project.demo.browser import Browser
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "project" / "media" / "samples" / "big_buck_bunny_720p_5s.mp4"

#: What the person who runs the tests may have set, and the site must not see.
OURS = (
    "BROKER_URL",
    "DATABASE_URL",
    "MEDIA_ROOT",
    "DEBUG",
    "SECRET_KEY",
    "ALLOWED_HOSTS",
    "DEMO_HOME",
)

PASSWORD = "known to the tests"


def environment(**changes: str) -> dict[str, str]:
    """The environment of the site's processes: ours, without what would reach into it."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return {**kept, "DJANGO_SETTINGS_MODULE": "project.settings", **changes}


def manage(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py`` to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=env,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=240,
    )


@dataclass(frozen=True, slots=True)
class Running:
    """A command of ``manage.py`` that runs, and the file that it writes to."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """What it has written so far."""
        return self.log.read_text()

    def wait_for(self, pattern: str, timeout: float = 60) -> str:
        """Wait until it has written what ``pattern`` matches; return the last group of it."""
        wait_until(
            lambda: re.search(pattern, self.said) or self.process.poll() is not None,
            timeout=timeout,
            message=pattern,
        )
        found = re.search(pattern, self.said)
        assert found, self.said
        return found.group(found.lastindex or 0)


@contextmanager
def running(*arguments: str, log: Path, env: dict[str, str] | None = None) -> Iterator[Running]:
    """Run ``manage.py`` while the block runs."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=env or environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Running(process, log)
    finally:
        process.terminate()
        process.wait(60)


def answers(origin: str) -> bool:
    """Say whether a web server answers at ``origin``."""
    try:
        Browser(origin).get("")
    except URLError:
        return False
    return True


def free_port() -> int:
    """A port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def draw(path: Path) -> Path:
    """Write a video of a second, which costs a worker next to nothing."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(25):
            frame = av.VideoFrame(160, 120, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@dataclass(frozen=True, slots=True)
class Site:
    """A running web server of the example site."""

    origin: str
    env: dict[str, str]

    @property
    def media(self) -> Path:
        """Where its files are."""
        return Path(self.env["MEDIA_ROOT"])

    def visitor(self) -> Browser:
        """A browser that nobody has logged in with."""
        return Browser(self.origin)

    def admin(self) -> Browser:
        """A browser in which the superuser is logged in."""
        browser = self.visitor()
        page = browser.submit("login/", {"username": "admin", "password": PASSWORD})
        assert "Log out" in page.text, page.errors
        return browser

    def python(self, code: str) -> None:
        """Run ``code`` in a shell of the site."""
        done = manage("shell", "--command", code, env=self.env)
        assert done.returncode == 0, done.stdout

    def work(self) -> str:
        """Let a worker handle all that waits; return what it said."""
        done = manage("run_router_worker", "--burst", env=self.env)
        assert done.returncode == 0, done.stdout
        return done.stdout


@contextmanager
def site(folder: Path, **changes: str) -> Iterator[Site]:
    """Run the example site's web server, with a superuser and no worker."""
    env = environment(
        DATABASE_URL=f"sqlite:///{folder / 'site.sqlite3'}",
        MEDIA_ROOT=str(folder / "media"),
        DJANGO_SUPERUSER_PASSWORD=PASSWORD,
        **changes,
    )
    for arguments in (
        ("migrate", "--verbosity=0"),
        ("createsuperuser", "--noinput", "--username=admin", "--email=admin@example.org"),
    ):
        done = manage(*arguments, env=env)
        assert done.returncode == 0, done.stdout
    address = f"127.0.0.1:{free_port()}"
    origin = f"http://{address}/"
    web = ("runserver", "--noreload", address)
    with running(*web, log=folder / "web.log", env=env):
        wait_until(lambda: answers(origin), timeout=30, message="the web server")
        yield Site(origin, env)
