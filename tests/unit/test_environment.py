"""Does DATABASE_URL become the database that it names?"""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from project import environment


def test_a_sqlite_url_names_a_file_and_makes_its_folder(tmp_path: Path) -> None:
    """A path is taken with its escapes undone, and SQLite can open it at once."""
    found = environment.database(f"sqlite:///{tmp_path}/new%20folder/site.sqlite3")
    assert found["NAME"] == f"{tmp_path}/new folder/site.sqlite3"
    assert (tmp_path / "new folder").is_dir()
    assert found["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def test_a_postgresql_url_keeps_every_part() -> None:
    """User, password, host, port, name and options arrive, each with its escapes undone."""
    url = "postgresql://ana:p%40ss%2Fword@db.example.org:5433/video%20site?sslmode=require"
    found = environment.database(url)
    assert found == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "video site",
        "USER": "ana",
        "PASSWORD": "p@ss/word",
        "HOST": "db.example.org",
        "PORT": "5433",
        "OPTIONS": {"sslmode": "require"},
    }


@pytest.mark.parametrize(
    "url", ["mysql://localhost/site", "site.sqlite3", "postgresql://host/", ""]
)
def test_a_url_that_names_no_database_of_ours_says_what_would(url: str) -> None:
    """The error names the variable and both forms, and repeats no password."""
    with pytest.raises(ImproperlyConfigured, match=r"DATABASE_URL.*sqlite:///.*postgresql://"):
        environment.database(url)
