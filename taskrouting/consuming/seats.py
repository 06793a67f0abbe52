"""How does a worker process tell how it is doing, whatever becomes of it? In memory that is shared.

There is a seat for every process of a supervisor. Whoever sits there writes a report every second;
it outlives its writer, so whoever takes the seat over goes on counting where that one stopped.
"""

from __future__ import annotations

import json
import logging
import mmap
import struct
import zlib
from typing import Any

logger = logging.getLogger("taskrouting.worker")

#: Bytes for one report. Memory that is never written to is never taken.
ROOM = 1 << 20

#: What stands before a report: its number, its length and its checksum.
HEAD = struct.Struct("=QII")

#: How often a report is read again that was just being written.
TRIES = 5


class Seat:
    """Holds the newest report of one process; one writes, and any process reads.

    Reports are written to two places in turn. A writer that is killed in the middle of one leaves
    the one before.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 2 * ROOM)

    def write(self, report: dict[str, Any]) -> None:
        """Replace the report; one that is too long is left out, and that is logged."""
        body = json.dumps(report).encode()
        if len(body) > ROOM - HEAD.size:
            logger.error("A report of %d bytes is left out; there is room for %d.", len(body), ROOM)
            return
        number = max(self._number(0), self._number(1)) + 1
        start = (number % 2) * ROOM
        self._memory[start + HEAD.size : start + HEAD.size + len(body)] = body
        self._memory[start : start + HEAD.size] = HEAD.pack(number, len(body), zlib.crc32(body))

    def read(self) -> dict[str, Any]:
        """Return the newest report that is whole; empty if there is none."""
        for _ in range(TRIES):
            for half in sorted((0, 1), key=self._number, reverse=True):
                number, length, checksum = self._head(half)
                start = half * ROOM + HEAD.size
                body = bytes(self._memory[start : start + min(length, ROOM - HEAD.size)])
                if number and zlib.crc32(body) == checksum:
                    report: dict[str, Any] = json.loads(body)
                    return report
        return {}

    def _head(self, half: int) -> tuple[int, int, int]:
        number, length, checksum = HEAD.unpack_from(self._memory, half * ROOM)
        return int(number), int(length), int(checksum)

    def _number(self, half: int) -> int:
        return self._head(half)[0]
