"""What does every promise need? One installation per transport, on a place of its own."""

from __future__ import annotations

from tests.conformance.fixtures import (
    installation,
    place,
    postgresql_settings,
    sqlite_settings,
    sqs_url,
)

__all__ = ["installation", "place", "postgresql_settings", "sqlite_settings", "sqs_url"]
