"""Which database do the environment's URLs name?"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

#: WAL lets readers and the one writer work at once, an immediate transaction takes its place in
#: the queue of writers when it begins and not in its middle, and ``timeout`` (seconds) is how long
#: it waits there.
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 10,
    "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
}


def database(url: str) -> dict[str, Any]:
    """Return Django's settings for the database at ``url``.

    ``sqlite:///relative/path``, ``sqlite:////absolute/path`` or
    ``postgresql://user:password@host:5432/name?sslmode=require``; a character that means something
    in a URL is written ``%40`` and the like.

    Raises ImproperlyConfigured for another scheme or a URL without a name.
    """
    parts = urlsplit(url)
    name = unquote(parts.path[1:])
    if parts.scheme not in _READERS or not name:
        raise ImproperlyConfigured(
            f"DATABASE_URL begins with {parts.scheme!r}; it must be sqlite:///path/to/file or "
            "postgresql://user:password@host:port/name."
        )
    return _READERS[parts.scheme](parts, name)


def _sqlite(parts: SplitResult, name: str) -> dict[str, Any]:
    """A file; its folder is made, for SQLite would only say that it cannot open the file."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": SQLITE_OPTIONS}


def _postgresql(parts: SplitResult, name: str) -> dict[str, Any]:
    """A server; what the URL leaves out, libpq decides."""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "OPTIONS": dict(parse_qsl(parts.query)),
    }


_READERS = {"sqlite": _sqlite, "postgres": _postgresql, "postgresql": _postgresql}
