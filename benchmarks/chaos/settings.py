"""How is Django set up in every process of a run? As its environment says."""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks.settings import *  # noqa: F403
from project import environment

#: Where the processes of this run write what the books are checked against.
CHAOS_FOLDER = Path(os.environ["CHAOS_FOLDER"])

#: The way in which the code is broken on purpose, if it is.
CHAOS_MUTATION = os.environ.get("CHAOS_MUTATION", "")

DATABASES = {"default": environment.database(os.environ["CHAOS_DATABASE_URL"])}
DATABASES["default"].setdefault("CONN_MAX_AGE", None)
if "sqlite" in DATABASES["default"]["ENGINE"]:
    # A quarter of the lease, as a system check asks.
    DATABASES["default"]["OPTIONS"] = {**environment.SQLITE_OPTIONS, "timeout": 1}
else:
    # A frozen server must not hold a process for longer than the run lasts.
    DATABASES["default"]["OPTIONS"] |= {"connect_timeout": 2}

TASKROUTING = json.loads(os.environ["CHAOS_TASKROUTING"])
INSTALLED_APPS = ["django.contrib.contenttypes", "taskrouting", "benchmarks.chaos"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"timed": {"format": "%(asctime)s %(process)d %(levelname)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "timed"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
