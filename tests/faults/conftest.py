"""What does every fault need? A plant per broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.fixtures import (
    installation,
    place,
    postgresql_settings,
    sqlite_settings,
    sqs_url,
)
from tests.conformance.installation import Installation
from tests.faults.plant import Plant

__all__ = ["installation", "place", "postgresql_settings", "sqlite_settings", "sqs_url"]


@pytest.fixture
def plant(installation: Installation, tmp_path: Path) -> Plant:
    """An installation with the handlers that meet with faults."""
    return Plant(installation, tmp_path)
