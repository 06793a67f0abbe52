"""How often has the job run, in all processes? Each counts in a slot of one shared file."""

from __future__ import annotations

import mmap
import os
import struct
import threading
from pathlib import Path

SLOT = struct.Struct("<Q")

#: Processes that may count in one run.
SLOTS = 256


def prepare(path: Path) -> None:
    """Make the file, with every slot at zero."""
    path.write_bytes(bytes(SLOT.size * SLOTS))


def total(path: Path) -> int:
    """Return the sum of all slots."""
    return sum(count for (count,) in SLOT.iter_unpack(path.read_bytes()))


class Tally:
    """One process's count; a forked child takes a slot of its own."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._pid = 0
        self._count = 0

    def add(self) -> None:
        """Count one more."""
        with self._lock:
            if self._pid != os.getpid():
                self._begin()
            self._count += 1
            SLOT.pack_into(self._file, self._at, self._count)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._count = 0
        self._at = SLOT.size * (self._pid % SLOTS)
        with open(self._path, "r+b") as file:
            self._file = mmap.mmap(file.fileno(), SLOT.size * SLOTS)
