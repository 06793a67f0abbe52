"""How is Django set up in the processes of a long run? As its environment says."""

from __future__ import annotations

import json
import os

from benchmarks import settings
from benchmarks.settings import *  # noqa: F403
from project import environment

DATABASES = {"default": environment.database(os.environ["LONG_RUN_DATABASE_URL"])}
TASKROUTING = json.loads(os.environ["LONG_RUN_TASKROUTING"])
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "taskrouting",
                  "benchmarks.long_run"]  # fmt: skip
# Everything is said, and only warnings are printed.
LOGGING = {**settings.LOGGING, "root": {"handlers": ["console"], "level": "INFO"}}
