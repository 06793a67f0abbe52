"""How is the example site set up? For looking at on your own machine, not for the internet.

Read from the environment: ``BROKER_URL``, ``DATABASE_URL``, ``MEDIA_ROOT``, ``DEBUG``,
``SECRET_KEY`` and ``ALLOWED_HOSTS``. Without any of them everything lives in ``var/``.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import django

from project import environment

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = BASE_DIR / "var"

DEBUG = os.environ.get("DEBUG", "1") not in ("0", "false", "")
# A key for development only: it is public, so sessions signed with it prove nothing.
SECRET_KEY = os.environ.get("SECRET_KEY", "insecure-development-key-of-the-example-site")
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

DATABASES = {
    "default": environment.database(
        os.environ.get("DATABASE_URL", f"sqlite:///{quote(str(VAR / 'db.sqlite3'))}")
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The queues come from the code: video_queue from project/media/subscribers.py, which binds it to
# video.#, and audit_queue, bound to #, from the audit log that is on unless it is switched off.
TASKROUTING = {
    "BROKER_URL": os.environ.get("BROKER_URL", "django://"),
    "EXCHANGE": "media_exchange",
}

INSTALLED_APPS = [
    # Above the admin, so that its pages have "Events" beside "History".
    "taskrouting",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "project.media",
]
MIDDLEWARE = [
    "taskrouting.middleware.ActorMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if django.VERSION >= (6, 0):
    # No inline script or style anywhere, which this makes browsers enforce.
    MIDDLEWARE.insert(2, "django.middleware.csp.ContentSecurityPolicyMiddleware")
    SECURE_CSP = {"default-src": ["'self'"], "img-src": ["'self'", "data:"]}

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
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

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "loggers": {"taskrouting": {"handlers": ["console"], "level": "INFO", "propagate": False}},
}

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "videos"
LOGOUT_REDIRECT_URL = "videos"

USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
STATIC_ROOT = VAR / "static"
MEDIA_URL = "media/"
MEDIA_ROOT = Path(os.environ.get("MEDIA_ROOT", VAR / "media"))

#: Largest video the upload page takes, in bytes.
MEDIA_LARGEST_UPLOAD = 500 * 1024 * 1024
