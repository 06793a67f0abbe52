"""How fast is each screen beside ten million rows? ``python -m benchmarks.screens``.

Fills a database of its own, opens every page of the admin as a superuser, and says for each the
median time and the number of queries. Returns 1 where one takes longer, or asks more, than it may.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.bench import postgres
from benchmarks.bench.programs import ROOT
from benchmarks.bench.recording import machine

from .installation import configure

if TYPE_CHECKING:
    from .visiting import Visit

RESULTS = ROOT / "benchmarks" / "results" / "screens.jsonl"

#: Milliseconds that a page may take at the median, rows unless others are asked for, by database.
LIMITS = {"postgres": 200, "sqlite": 300}
ROWS = {"postgres": 10_000_000, "sqlite": 1_000_000}

#: Queries that a page may issue.
MOST_QUERIES = 15

NAME = "taskrouting_screens"
SERVER = os.environ.get("SCREENS_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")


def main() -> int:
    """Fill, visit, tell, and return 1 if a page is over a limit."""
    options = _options()
    rows = options.rows or ROWS[options.database]
    with _database(options) as (url, empty):
        configure(url)
        visits = _visit(rows, options.only, fill=empty)
        for each in visits:
            _tell(each, LIMITS[options.database], options.statements)
        _note(options.database, rows, visits)
    over = [each for each in visits if _over(each, LIMITS[options.database])]
    print(f"{len(visits)} pages, {len(over)} of them over a limit; load {os.getloadavg()[0]:.1f}.")
    return 1 if over else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.screens")
    parser.add_argument("--database", choices=sorted(LIMITS), default="postgres")
    parser.add_argument("--rows", type=int, help="Of audit log and ledger each.")
    parser.add_argument("--keep", action="store_true", help="Keep the database for another run.")
    parser.add_argument("--only", default="", help="Only pages with this in their names.")
    parser.add_argument("--statements", action="store_true", help="Print what each page asks.")
    return parser.parse_args()


@contextmanager
def _database(options: argparse.Namespace) -> Iterator[tuple[str, bool]]:
    """The URL of a database, and whether it is empty; it is dropped afterwards."""
    if options.database == "sqlite":
        with tempfile.TemporaryDirectory(prefix="screens-") as folder:
            kept = Path(tempfile.gettempdir()) / f"{NAME}.sqlite3"
            file = kept if options.keep else Path(folder) / "screens.sqlite3"
            yield f"sqlite:///{file}", not file.exists()
        return
    empty = not postgres.exists(SERVER, NAME)
    if empty:
        postgres.create(SERVER, NAME)
    try:
        yield f"{SERVER.rpartition('/')[0]}/{NAME}", empty
    finally:
        if not options.keep:
            _leave()
            postgres.drop(SERVER, NAME)


def _leave() -> None:
    from django.db import connections

    connections.close_all()


def _visit(rows: int, only: str, *, fill: bool) -> list[Visit]:
    """Open the pages; imported here, for Django is only set up by now."""
    from . import filling, lately, pages, visiting

    shape = filling.Shape(rows)
    if fill:
        filling.fill(shape)
    lately.freshen()
    client = visiting.superuser()
    found = (each for each in pages.pages(client, shape) if only in each[0])
    return list(visiting.visit_all(client, found))


def _over(visit: Visit, limit: int) -> bool:
    return visit.median > limit or visit.queries > MOST_QUERIES


def _tell(visit: Visit, limit: int, statements: bool) -> None:
    sign = "OVER" if _over(visit, limit) else ""
    print(f"{visit.median:8.1f} ms {visit.worst:8.1f} worst {visit.computed:8.1f} computed "
          f"{visit.queries:3} queries "
          f"{sign:4} {visit.name}", flush=True)  # fmt: skip
    for seconds, statement in visit.statements if statements else ():
        print(f"    {seconds * 1000:8.1f} ms {statement}")


def _note(database: str, rows: int, visits: Sequence[Visit]) -> None:
    """Write a line with all figures."""
    figures: dict[str, Any] = {
        each.name: [
            *(round(ms, 1) for ms in (each.median, each.worst, each.computed)),
            each.queries,
        ]
        for each in visits
    }
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "database": database,
        "rows": rows,
        "load": round(os.getloadavg()[0], 1),
        "median, worst, computed, queries": figures,
        "machine": machine(),
    }
    with open(RESULTS, "a", encoding="utf-8") as results:
        results.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    sys.exit(main())
