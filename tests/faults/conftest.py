"""What does every fault need? A plant per broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.installation import Installation
from tests.faults.plant import Plant


@pytest.fixture
def plant(installation: Installation, tmp_path: Path) -> Plant:
    """An installation with the handlers that meet with faults."""
    return Plant(installation, tmp_path)
