"""Run chaos: ``python -m benchmarks.chaos --broker rabbitmq --minutes 10 --seed 7``."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from . import servers
from .installation import BROKERS, MAX_CRASHES, ROOT
from .mayhem import DEEDS, Pace
from .mutations import MUTATIONS
from .publisher import KINDS

RESULTS = ROOT / "benchmarks" / "results" / "chaos.jsonl"


def main() -> int:
    """Run what was asked for; 1 says that a promise was broken."""
    options = _options()
    if options.broker == "all":
        return max(_in_a_process_of_its_own(broker) for broker in BROKERS)
    for kind in BROKERS[options.broker]:
        if kind and (what := servers.missing(kind)):
            print(f"{options.broker}: {what} Install it, or choose another --broker.")
            return 2
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    from . import reporting
    from .run import Plan, prepared

    plan = Plan(
        broker=options.broker,
        seed=options.seed,
        seconds=options.minutes * 60,
        events=options.events,
        kills=options.kills,
        mutation=options.mutation,
        keep=options.outbox_keep,
        max_crashes=options.max_crashes,
        pace=Pace(programs=options.pace, servers=options.server_pace or 4 * options.pace),
        deeds=tuple(options.deeds),
        kinds=tuple(options.kinds),
        under_way=options.under_way,
        poison_in=options.poison_in,
        quiet=options.quiet,
    )
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # ends what was started
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"{plan.broker}: seed {plan.seed}, logs in {folder}", flush=True)
    with prepared(plan, folder) as run:
        report = run.go()
    print(reporting.table(report), flush=True)
    reporting.append(report, options.results)
    if report.violations:
        return 1
    shutil.rmtree(folder)
    return 0


def _in_a_process_of_its_own(broker: str) -> int:
    """Django is set up once per process, on one database."""
    command = [sys.executable, "-m", "benchmarks.chaos", *sys.argv[1:], "--broker", broker]
    return subprocess.run(command, check=False).returncode


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.chaos", description=__doc__)
    parser.add_argument("--broker", choices=[*BROKERS, "all"], default="all")
    parser.add_argument("--minutes", type=float, default=1.0, help="At least so long.")
    parser.add_argument("--events", type=int, default=0, help="At least so many.")
    parser.add_argument("--kills", type=int, default=0, help="At least so many.")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument(
        "--pace", type=float, default=1.2, help="Seconds between two deeds to our processes."
    )
    parser.add_argument(
        "--server-pace", type=float, help="Seconds between two deeds to a server; 4 times --pace."
    )
    parser.add_argument("--outbox-keep", choices=["until_confirmed", "until_received"])
    parser.add_argument(
        "--max-crashes", type=int, default=MAX_CRASHES, help="A short run needs no more than 3."
    )
    parser.add_argument(
        "--deeds", nargs="*", choices=DEEDS, default=[], help="Only these; restart kills nobody."
    )
    parser.add_argument(
        "--kinds", nargs="*", choices=KINDS, default=[], help="Publish only events of these kinds."
    )
    parser.add_argument(
        "--under-way", type=int, default=6_000, help="Deliveries at which the publishers wait."
    )
    parser.add_argument(
        "--poison-in", type=int, default=500, help="One of so many single events is poison."
    )
    parser.add_argument(
        "--quiet", type=float, default=60, help="Seconds without progress until it is all over."
    )
    parser.add_argument(
        "--mutation", choices=MUTATIONS, default="", help="Break the code so, to see it noticed."
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
