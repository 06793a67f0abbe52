"""What is in a message? 150 bytes of JSON, the same for all; and ids as our events have them."""

from __future__ import annotations

import json
import os
import time
from typing import Any
from uuid import UUID

BYTES = 150


def payload(number: int = 0) -> dict[str, Any]:
    """150 bytes of JSON, with a number in them to be told apart."""
    start = {"number": 10_000_000 + number, "kind": "upload", "title": ""}
    title = "x" * (BYTES - len(json.dumps(start, separators=(",", ":"))))
    return {**start, "title": title}


def time_ordered_id() -> str:
    """A UUID, version 7, so that every side's index grows at its end."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    bits = (milliseconds << 80) | (7 << 76) | ((random >> 62 & 0xFFF) << 64) | (0b10 << 62)
    return str(UUID(int=bits | (random & (1 << 62) - 1)))
