"""How does the example site run with a transaction around each request?"""

from __future__ import annotations

from project.settings import *  # noqa: F403
from project.settings import DATABASES

DATABASES["default"]["ATOMIC_REQUESTS"] = True
