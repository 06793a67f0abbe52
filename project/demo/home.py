"""Where does a run of the demo live? In a folder and a database of its own.

All processes of a run read their settings from the environment, so a run sets the environment and
starts anew in it: the demo, the web server and the worker then see the same, and nothing of yours
is touched. A ``DATABASE_URL`` that you give is used as it is.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from django.conf import settings
from django.core.management import CommandError

HOME = "DEMO_HOME"


def current() -> Path | None:
    """The folder of the run that this process belongs to, if it belongs to one."""
    home = os.environ.get(HOME)
    return Path(home) if home else None


def prepare(into: Path | None) -> Path:
    """Make an empty folder: ``into``, or the usual one, which is emptied first.

    Raises CommandError where ``into`` holds something already, since it may be yours.
    """
    if into is None:
        into = settings.VAR / "demo"
        shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True, exist_ok=True)
    if any(into.iterdir()):
        raise CommandError(f"{into} is not empty; give --into a folder that is, or that is new.")
    return into.resolve()


def start_anew(home: Path) -> NoReturn:
    """Run this very command again, in place of this process, as a run that lives in ``home``."""
    environment = {
        "DATABASE_URL": f"sqlite:///{quote(str(home / 'db.sqlite3'))}",
        **os.environ,
        "MEDIA_ROOT": str(home / "media"),
        HOME: str(home),
    }
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606
