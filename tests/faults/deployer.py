"""How does a test deploy thirty times in half a minute? Load the code once, fork each release.

``python -m tests.faults.deployer OPTION...`` runs ``run_router_worker OPTION...`` in a forked
child, as the command line does. For every line it reads it ends the child with SIGTERM, says its
exit code, and starts the next; at the end of its input it ends the last.
"""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.process import BaseProcess

import django
from django.core.management import call_command

#: Seconds in which a stopped worker has to be gone.
PATIENCE = 60


def released(options: list[str]) -> BaseProcess:
    """Start the command in a process of its own."""
    child = multiprocessing.get_context("fork").Process(
        target=call_command, args=["run_router_worker", *options], kwargs={"stdout": sys.stderr}
    )
    child.start()
    return child


def main(options: list[str]) -> None:
    """Deploy for as long as lines come."""
    django.setup()
    child = released(options)
    for _ in sys.stdin:
        end(child)
        child = released(options)
    end(child)


def end(child: BaseProcess) -> None:
    """Stop as a deployment does, and say how that went."""
    child.terminate()
    child.join(PATIENCE)
    print("exit", child.exitcode, flush=True)  # noqa: T201  # the test reads it


if __name__ == "__main__":
    main(sys.argv[1:])
