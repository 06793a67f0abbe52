"""What do the settings of all benchmarks share? Each takes it over and adds its own."""

from __future__ import annotations

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "known to everyone, for it guards nothing"  # noqa: S105
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler", "level": "WARNING"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
