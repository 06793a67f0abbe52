"""What does the demo do? It logs in, uploads a video, and looks at its page until it is ready."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.error import URLError
from uuid import UUID

from django.contrib.auth.models import User

from project import processes
from project.media.models import Video

from . import findings
from .browser import Browser

#: How long (seconds) the page may show the same state before we stop looking.
PATIENCE = {Video.State.UPLOADED: 60, Video.State.PROCESSING: 1800}

#: How long (seconds) the web server may take to answer, and the record to be complete.
START_PATIENCE = 60
RECORD_PATIENCE = 60

#: How long (seconds) we wait between two looks.
PAUSE = 0.2


class JourneyFailed(Exception):
    """The journey cannot go on; the text says where it stopped and why."""


@dataclass(frozen=True, slots=True)
class Site:
    """The web server and the worker of one run."""

    origin: str
    web: processes.Program
    worker: processes.Program

    def check(self) -> None:
        """Raise JourneyFailed if one of the two has ended."""
        for program in (self.web, self.worker):
            if program.exit_code is not None:
                raise JourneyFailed(
                    f"{program.name} ended with {program.exit_code}:\n{program.last_words()}"
                )


@contextmanager
def site(home: Path) -> Iterator[Site]:
    """Run the web server and a worker, each a process of its own, while the block runs."""
    port = processes.free_port()
    address = f"127.0.0.1:{port}"
    web = processes.start(
        "The web server", "runserver", "--noreload", address, log=home / "web.log"
    )
    worker = processes.start("The worker", "run_router_worker", log=home / "worker.log")
    running = Site(f"http://{address}/", web, worker)
    try:
        yield running
    finally:
        worker.stop()
        web.stop()


def visitor() -> tuple[User, str]:
    """Make a user whose name no run ever had, and their password."""
    password = secrets.token_urlsafe(16)
    return User.objects.create_user(f"demo-{secrets.token_hex(4)}", password=password), password


def log_in(site: Site, user: User, password: str) -> Browser:
    """Log ``user`` in with a browser, as soon as the site answers."""
    browser = Browser(site.origin)
    _await_answer(site, browser)
    page = browser.submit("login/", {"username": user.username, "password": password})
    if "Log out" not in page.text:
        raise JourneyFailed(f"Could not log in ({page.status}). {' '.join(page.errors)}")
    return browser


def upload(browser: Browser, path: Path) -> Video:
    """Upload the file at ``path``; return the video whose page we are led to."""
    page = browser.submit("upload/", {"title": ""}, {"file": path})
    key = page.url.rstrip("/").rpartition("/")[2]
    if page.errors or page.status != 200 or key == "upload":
        raise JourneyFailed(
            f"The site did not take {path.name} ({page.status}). {' '.join(page.errors)}"
        )
    return Video(pk=UUID(key))


def states(site: Site, browser: Browser, video: Video) -> Iterator[tuple[str, timedelta]]:
    """Look at the video's page; yield each state it shows and for how long it did.

    Ends with a state that is final, or with one that has lasted too long.
    """
    shown, since = _shown(browser, video), time.monotonic()
    while shown in PATIENCE:
        now, waited = _shown(browser, video), time.monotonic() - since
        if now != shown:
            yield shown, timedelta(seconds=waited)
            shown, since = now, time.monotonic()
        elif waited > PATIENCE[Video.State(shown)]:
            break
        site.check()
        time.sleep(PAUSE)
    yield shown, timedelta(seconds=time.monotonic() - since)


def complete(site: Site, user: User, video: Video, *, patience: float) -> findings.Findings:
    """Wait until all is on record, or for ``patience`` (seconds); return what there is."""
    end = time.monotonic() + patience
    while not (found := findings.look(user, video)).is_settled and time.monotonic() < end:
        site.check()
        time.sleep(PAUSE)
    return found


def watch(browser: Browser, video: Video) -> None:
    """Load the poster and the rendition, as the page that shows them would.

    Raises JourneyFailed where the site does not send one whole.
    """
    for file in filter(None, (video.poster, video.rendition)):
        page = browser.get(file.url)
        if page.status != 200 or len(page.body) != file.size:
            raise JourneyFailed(f"The site did not send {file.url} whole ({page.status}).")


def _shown(browser: Browser, video: Video) -> str:
    """The state that the video's page shows."""
    return browser.get(video.get_absolute_url()).find(r'class="state (\w+)"')


def _await_answer(site: Site, browser: Browser) -> None:
    """Wait until the site answers for the first time."""
    end = time.monotonic() + START_PATIENCE
    while True:
        site.check()
        try:
            browser.get("")
            return
        except URLError as error:
            if time.monotonic() > end:
                raise JourneyFailed(f"The web server does not answer: {error.reason}.") from error
        time.sleep(PAUSE)
