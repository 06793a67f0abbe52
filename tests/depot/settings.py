"""How is Django set up in a worker subprocess? Like the test that starts it, plus the depot."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403  # the same installation
from tests.settings import INSTALLED_APPS

DATABASES = {"default": json.loads(os.environ["DEPOT_DATABASE"])}
INSTALLED_APPS = [*INSTALLED_APPS, "tests.depot"]
TASKROUTING = {"SOURCE": "tests", **json.loads(os.environ.get("DEPOT_TASKROUTING", "{}"))}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
