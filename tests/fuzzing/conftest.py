"""What do the fuzzed tests need? A registry of their own, and a broker."""

from __future__ import annotations

from tests.integration.conftest import subscriptions

__all__ = ["subscriptions"]
