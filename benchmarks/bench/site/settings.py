"""How is Django set up in the measured programs? The same for all, but for what a peer asks for."""

from __future__ import annotations

import json
import os

from benchmarks.settings import *  # noqa: F403
from project import environment

_DATABASE = environment.database(os.environ["BENCH_DATABASE_URL"])
_OPTIONS = json.loads(os.environ.get("BENCH_DATABASE_OPTIONS", "{}"))

DATABASES = {
    "default": {
        **_DATABASE,
        "OPTIONS": {**_DATABASE.get("OPTIONS", {}), **_OPTIONS},
        # All sides keep their connections; a new one for every task would be what is measured.
        "CONN_MAX_AGE": 600,
    }
}
TASKROUTING = json.loads(os.environ.get("BENCH_TASKROUTING", "{}"))
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "benchmarks.bench.site",
                  *os.environ.get("BENCH_APPS", "").split()]  # fmt: skip
TASKS = json.loads(os.environ.get("BENCH_TASKS", "{}"))
DJANGO_DOMAIN_EVENTS = json.loads(os.environ.get("BENCH_DOMAIN_EVENTS", "{}"))
CELERY_DB_REUSE_MAX = 1_000_000
