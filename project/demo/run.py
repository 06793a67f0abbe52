"""What happens in one run of the demo, from the login to the verdict?"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from project.media import record
from project.media.models import Video
from taskrouting import conf

from . import journey, story
from .findings import Findings
from .story import Paint

#: What to look at where nothing arrived.
LOST = (
    "Nothing of this run has arrived. Is the broker there, and does another worker (of another "
    "make serve, say) take events from the same one?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: where it lives, and whom it tells what."""

    home: Path
    write: Callable[[str], object]
    paint: Paint

    def go(self, path: Path) -> list[str]:
        """Upload the video at ``path``, tell the story, and return what is missing in it.

        Raises JourneyFailed where the journey cannot go on.
        """
        began = time.monotonic()
        self._heading("The journey")
        self._say(f"A web server and a worker are starting, with {_broker()} on {_database()}.")
        with journey.site(self.home) as site:
            found = self._travel(site, path)
            missing = found.missing()
            if not found.events:
                missing.append(LOST)
            if missing and not found.video.error:
                self._say(f"The worker's last words:\n{site.worker.last_words()}")
        if site.worker.exit_code != 0:
            missing.append(f"The worker did not end well: exit code {site.worker.exit_code}.")
        self._tell(found)
        self._judge(missing, timedelta(seconds=time.monotonic() - began))
        self._heading("How to go on")
        for line in _advice():
            self.write(line)
        return missing

    def _travel(self, site: journey.Site, path: Path) -> Findings:
        """Log in, upload, watch the page; return what is on record when all is settled."""
        user, password = journey.visitor()
        browser = journey.log_in(site, user, password)
        self._say(f"{user.username} logs in at {site.origin}")
        video = journey.upload(browser, path)
        self._say(f"{user.username} uploads {path.name} and looks at its page:")
        for state, shown in journey.states(site, browser, video):
            self._say(f"  {Video.State(state).label}" + _lasting(state, shown))
        patience = 0 if state in journey.PATIENCE else journey.RECORD_PATIENCE
        found = journey.complete(site, user, video, patience=patience)
        journey.watch(browser, found.video)
        return found

    def _tell(self, found: Findings) -> None:
        self._heading("The events, from the audit log and the ledger")
        for line in story.events(found, self.paint):
            self.write(line)
        self._heading(f"The files, in {settings.MEDIA_ROOT}")
        for line in story.files(found, settings.MEDIA_ROOT):
            self.write(line)

    def _judge(self, missing: list[str], took: timedelta) -> None:
        self.write("")
        if not missing:
            done = "Poster and rendition are there, the upload was handled once, every event is on"
            self.write(self.paint("good", f"✓ {done} record once. {record.in_words(took)}"))
        for sentence in missing:
            self.write(self.paint("bad", f"✗ {sentence}"))

    def _heading(self, text: str) -> None:
        self.write(f"\n{self.paint('bold', text)}")

    def _say(self, text: str) -> None:
        self.write(f"  {text}")


def _lasting(state: str, shown: timedelta) -> str:
    """For how long a state was shown, for states that pass."""
    return f" for {record.in_words(shown)}" if state in journey.PATIENCE else ""


def _broker() -> str:
    """The broker, without the password that its address may hold."""
    address = urlsplit(conf.current().broker_url)
    return f"{address.scheme}://{address.hostname or ''}"


def _database() -> str:
    return {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[connection.vendor]


def _advice() -> Iterator[str]:
    """What to try next."""
    yield "  make serve                        the site and a worker, to try out yourself"
    yield "                                    http://127.0.0.1:8000/ and its admin at /admin/"
    yield "  make demo VIDEO=path/to/file      the same with a video of yours"
    yield "  BROKER_URL=amqp://guest:guest@localhost:5672// make demo"
    yield "                                    the same on RabbitMQ"
    yield "  Look at this run in the site and its admin:"
    yield f"    {_environment()} make serve"


def _environment() -> str:
    """What to set to see this run; a database of yours you know, and its password is not shown."""
    given = {"MEDIA_ROOT": str(settings.MEDIA_ROOT)}
    if os.environ["DATABASE_URL"].startswith("sqlite:"):
        given["DATABASE_URL"] = os.environ["DATABASE_URL"]
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in given.items())
