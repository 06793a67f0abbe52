"""What has happened in this run? Lines of JSON that whoever does something appends.

An append is one ``write`` with ``O_APPEND``, so that lines of many processes do not mix and none is
lost with the process that wrote it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: What was done to the installation: kills, stops, cuts.
DEEDS = "deeds.jsonl"

#: What external handlers did.
EFFECTS = "effects.jsonl"

#: Outcomes as they were recorded: deliveries handled, and copies that the ledger recognised.
HANDLED = "handled.jsonl"
DUPLICATES = "duplicates.jsonl"


def write(folder: Path, name: str, **entry: Any) -> None:
    """Append one entry, with the time (seconds since 1970) and this process's number."""
    line = json.dumps({"at": time.time(), "by": os.getpid(), **entry}) + "\n"
    file = os.open(folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def read(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Every entry, in the order in which they were written."""
    path = folder / name
    if path.exists():
        with path.open() as lines:
            yield from map(json.loads, lines)
