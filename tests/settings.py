"""How is Django set up for the tests?

``TASKROUTING_TEST_DATABASE`` names another database than SQLite, as a URL, e.g.
``postgresql://postgres@127.0.0.1:5432/postgres``; the tests make their own database beside it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import django

from project import environment

TEMPORARY = Path(tempfile.gettempdir())


def _database(alias: str) -> dict[str, Any]:
    """One test database per alias and process, so that runs beside each other do not meet.

    SQLite is a file, not memory: worker processes and threads have to see it too.
    """
    name = f"taskrouting_tests_{alias}_{os.getpid()}"
    file = TEMPORARY / f"{name}.sqlite3"
    url = os.environ.get("TASKROUTING_TEST_DATABASE", f"sqlite:///{file}")
    database = environment.database(url)
    if url.startswith("sqlite"):
        name = str(file)
    return database | {"TEST": {"NAME": name}}


DATABASES = {"default": _database("default"), "other": _database("other")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TASKROUTING = {"SOURCE": "tests"}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "taskrouting",
    "tests.shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "taskrouting.middleware.ActorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"

SECRET_KEY = "known to everyone, for it guards nothing"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast, and guards nothing
USE_TZ = True

if django.VERSION >= (6, 1):  # before, there was one mailer, and settings of its own
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
