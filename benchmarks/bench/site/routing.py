"""How long does it take to find a key's queues? ``… .site.routing BINDINGS``.

Where the broker does not route, we do. Two of the bindings match. Prints microseconds per key, for
one key again and again, and for keys that were never asked for before.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable

from . import setup

#: Keys that are looked up.
REPEATED, NEW = 20_000, 2_000

MATCHING = ("video.#", "video.*.done")


def main() -> None:
    """Time both."""
    setup.ready()
    from taskrouting.routing.topology import Binding
    from taskrouting.transport.routes import Routes

    count = int(sys.argv[1]) - len(MATCHING)
    patterns = [*MATCHING, *(f"shop{number}.order.#" for number in range(count))]
    bindings = [Binding(pattern, f"queue{n}") for n, pattern in enumerate(patterns)]
    routes = Routes(lambda topology: bindings)
    routes.queues("video.1.done")
    print(json.dumps({
        "known": _time(routes, ["video.1.done"] * REPEATED),
        "new": _time(routes, [f"video.new{number}.done" for number in range(NEW)]),
    }))  # fmt: skip


def _time(routes: object, keys: Iterable[str]) -> float:
    keys = list(keys)
    began = time.perf_counter()
    for key in keys:
        found = routes.queues(key)  # type: ignore[attr-defined]
        if len(found) != len(MATCHING):
            raise SystemExit(f"{key} reaches {found}.")
    return 1e6 * (time.perf_counter() - began) / len(keys)


if __name__ == "__main__":
    main()
