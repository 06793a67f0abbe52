"""How is Django set up in a worker process whose handlers take too long? As the test's is."""

from __future__ import annotations

from tests.depot.settings import *  # noqa: F403  # the same installation, with another app
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.limits"]
