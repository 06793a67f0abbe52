"""Of what did it die? The exception's class and the place, so that many of one kind are one group.

``ConnectionError in shop/mail.py:send`` has no line number, for that changes with every release,
and no message, for in it are the values of one event.
"""

from __future__ import annotations

import re

#: The longest cause that is kept: as much as its column holds.
LONGEST = 255

#: Folders of a path that say where it was installed, and not what it is.
_INSTALLED = re.compile(r".*(?:site-packages|dist-packages|lib/python[\d.]+)/")

#: Folders above a file that are kept where it was not installed.
_KEPT_FOLDERS = 2

_FRAME = re.compile(r'^\s*File "(?P<path>[^"\n]+)", line \d+, in (?P<function>.+)$', re.MULTILINE)

#: The class at the beginning of a line below the last frame: ``requests.exceptions.Timeout: ...``.
_CLASS = re.compile(r"^(?P<name>[A-Za-z_][\w.<>]*)(?::|$)", re.MULTILINE)


def cause_of(reason: str, error: str) -> str:
    """Name what went wrong by its class and place; by its ``reason`` where there is no traceback.

    ``error`` is a traceback as Python prints it, or a sentence.
    """
    frames = list(_FRAME.finditer(error))
    raised = _CLASS.search(error, frames[-1].end()) if frames else None
    if raised is None:
        return str(reason)
    name = raised["name"].rpartition(".")[2]
    place = f"{_short(frames[-1]['path'])}:{frames[-1]['function']}"
    return f"{name} in {place}"[:LONGEST]


def _short(path: str) -> str:
    """Leave out of a path what is of one machine."""
    path = path.replace("\\", "/")
    inside = _INSTALLED.sub("", path)
    if inside != path:
        return inside
    return "/".join(path.split("/")[-_KEPT_FOLDERS - 1 :])
