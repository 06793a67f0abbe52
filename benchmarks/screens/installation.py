"""How is Django set up for the screens? Like a site with its admin, and many subscriptions."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings

from benchmarks.settings import DEFAULT_AUTO_FIELD, LOGGING, SECRET_KEY, USE_TZ
from project import environment

#: Subscriptions, the queues they share, and the first words of the routing keys that they want.
SUBSCRIPTIONS, QUEUES, AREAS = 24, 8, 10

CONTEXT = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]


def configure(url: str) -> None:
    """Set Django up with the database at ``url``."""
    settings.configure(
        DATABASES={"default": environment.database(url)},
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
            "taskrouting",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "taskrouting.middleware.ActorMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[_templates()],
        ROOT_URLCONF="benchmarks.screens.urls",
        STATIC_URL="static/",
        ALLOWED_HOSTS=["testserver"],
        TASKROUTING={"SOURCE": "shop"},
        DEFAULT_AUTO_FIELD=DEFAULT_AUTO_FIELD,
        SECRET_KEY=SECRET_KEY,
        USE_TZ=USE_TZ,
        LOGGING=LOGGING,
    )
    django.setup()
    _subscribe()


def queue_of(number: int) -> str:
    """Name the queue of the subscription with that number."""
    return f"q{number % QUEUES}_queue"


def _templates() -> dict[str, Any]:
    return {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": CONTEXT},
    }


def _subscribe() -> None:
    from taskrouting import subscribe

    for number in range(SUBSCRIPTIONS):
        wanted = f"area{number % AREAS}.#"
        subscribe(wanted, queue=queue_of(number), name=f"s{number}")(lambda event: None)
