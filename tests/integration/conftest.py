"""What do the tests of the parts together need? A registry of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskrouting.routing.subscriptions import Registry, registry


@pytest.fixture
def subscriptions() -> Iterator[Registry]:
    """The registry; what a test subscribes is gone when it ends."""
    before = {subscription.name for subscription in registry}
    yield registry
    for subscription in registry:
        if subscription.name not in before:
            registry.remove(subscription.name)
