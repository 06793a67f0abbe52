"""Does the whole journey work here? ``manage.py demo``: a real upload, told event by event."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand, CommandParser

from project.demo import home, journey
from project.demo.run import Run
from project.demo.story import Paint

SAMPLE = settings.BASE_DIR / "project" / "media" / "samples" / "big_buck_bunny_720p_5s.mp4"


def existing_file(text: str) -> Path:
    """Read the path of a file that is there."""
    path = Path(text).expanduser().resolve()
    if not path.is_file():
        raise ArgumentTypeError(f"there is no file {text!r}")
    return path


class Command(BaseCommand):
    """Upload a video to the real site with a real worker, and tell what came of it."""

    help = (
        "Upload a video to the example site as a browser would, and tell the story of its events."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the video and the folder for what is made of it."""
        parser.add_argument("--video", type=existing_file, default=SAMPLE, metavar="PATH")
        parser.add_argument(
            "--into", type=Path, metavar="FOLDER", help="an empty folder (default: var/demo, anew)"
        )

    def handle(self, *, video: Path, into: Path | None, **options: Any) -> None:
        """Run the journey; exit with 1 if anything is missing in the end."""
        place = home.current() or home.start_anew(home.prepare(into))
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        call_command("migrate", verbosity=0)
        paint = Paint.on(sys.stdout)
        if not paint.enabled:
            self.stderr.style_func = None
        run = Run(home=place, write=self.stdout.write, paint=paint)
        try:
            missing = run.go(video)
        except journey.JourneyFailed as error:
            raise CommandError(str(error)) from error
        if missing:
            raise SystemExit(1)
