"""Which fixtures does taskrouting give to pytest? ``capture_events`` and ``run_subscribers``.

Installed with the package; nothing to configure. The functions behind the fixtures are in
``taskrouting.contrib.testing``, for ``unittest`` as well.

::

    def test_an_upload_is_published(db, capture_events, run_subscribers):
        with capture_events() as published:
            Video.objects.create(title="Bunny")
        published.assert_published("video.#", times=1)

        runs = run_subscribers()
        assert runs[0].outcome.name == "HANDLED"
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Published, Run


@pytest.fixture
def capture_events() -> Callable[[], AbstractContextManager[Published]]:
    """Capture what a block publishes, for a ``with`` statement."""
    from . import testing  # Django is not configured yet when pytest loads the plugin

    return testing.capture_events


@pytest.fixture
def run_subscribers() -> Callable[..., list[Run]]:
    """Run, inline, the subscribers of everything that was published."""
    from . import testing

    return testing.run_subscribers
