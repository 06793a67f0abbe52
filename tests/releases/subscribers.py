"""Which subscriptions does this worker find? Those of its release."""

from __future__ import annotations

import os

from tests.releases import handlers

handlers.subscribe_release(os.environ["RELEASE"], os.environ["RELEASE_PREFIX"])
