"""Which handlers does a worker process of the journey find? Those of the test that started it."""

from __future__ import annotations

import os

from tests.journey import handlers

handlers.subscribe_all(os.environ["JOURNEY_PREFIX"])
