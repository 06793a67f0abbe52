"""How is Django set up in the processes of a long run? As its environment says."""

from __future__ import annotations

import json
import os

from project import environment

DATABASES = {"default": environment.database(os.environ["LONG_RUN_DATABASE_URL"])}
TASKROUTING = json.loads(os.environ["LONG_RUN_TASKROUTING"])
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "taskrouting",
                  "benchmarks.long_run"]  # fmt: skip
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "known to everyone, for it guards nothing"  # noqa: S105
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler", "level": "WARNING"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
