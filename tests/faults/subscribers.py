"""Which handlers does a worker process of the faults find? Those of the test that started it."""

from __future__ import annotations

import os

from tests.faults import handlers

handlers.subscribe_all(os.environ["FAULTS_PREFIX"])
