"""Which processes belong to one that was started here? Signals for a process and its children."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def family(pid: int) -> list[int]:
    """The process and all below it, the eldest first; empty when it is gone."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children.setdefault(_parent(entry), []).append(int(entry.name))
    if not Path(f"/proc/{pid}").exists():
        return []
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def send(pids: list[int], number: signal.Signals) -> None:
    """Signal each process that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has buried yet does not."""
    try:
        return _fields(Path(f"/proc/{pid}"))[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _parent(entry: Path) -> int:
    try:
        return int(_fields(entry)[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _fields(entry: Path) -> list[str]:
    """State, parent and the rest of ``/proc/<pid>/stat``; the name before may hold anything."""
    return (entry / "stat").read_text().rpartition(")")[2].split()
