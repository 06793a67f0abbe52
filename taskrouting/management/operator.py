"""Who runs this command? The operator's name, for the audit log."""

from __future__ import annotations

import getpass
import os


def name() -> str:
    """Return ``command:ana``, or the user's number where the system knows no name for it."""
    try:
        return f"command:{getpass.getuser()}"
    except (KeyError, OSError):  # a container without that user; Python 3.13 says OSError
        return f"command:uid-{os.getuid()}"
