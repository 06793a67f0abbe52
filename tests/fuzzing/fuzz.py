"""What does a fuzzer find at the door that nobody thought of? ``make fuzz SECONDS=600``.

Guided by which code a message reaches, it changes messages until one raises, hangs or is lost.
What it finds it writes to ``var/fuzz``; a file that was mended belongs into ``cases``.
"""

from __future__ import annotations

import logging
import os
import sys

import atheris
import django

with atheris.instrument_imports(include=["taskrouting"]):
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from tests.fuzzing import door, written

from django.db import connections

from taskrouting import subscribe


def main() -> None:
    """Fuzz until the time is up; exit 77 (libFuzzer's figure) when something was found."""
    logging.disable()  # every other message is a dead letter
    for alias in connections:
        connections[alias].creation.create_test_db(verbosity=0)
    subscribe("video.#", queue="video_queue", name="a")(door.stand_in)
    subscribe("video.#", queue="video_queue", name="b", effects="external")(door.stand_in)
    atheris.Setup(sys.argv, lambda data: door.deliver(written.arrival(data)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
