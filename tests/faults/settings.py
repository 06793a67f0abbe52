"""How is Django set up in a worker process that meets with faults? Like the test that starts it."""

from __future__ import annotations

from tests.depot.settings import *  # noqa: F403  # the same installation, with another app
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults"]
