"""Run the benchmarks: ``python -m benchmarks.bench --only audit,publish --repeats 3``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from . import cases, place, ratios, recording
from .model import Case, Figures, Miscounted, Side
from .recording import Record
from .windows import RanDry

#: How often a run that does not count is done again.
ATTEMPTS = 3


def main() -> int:
    """Measure; 1 says that a side could not be measured."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # and clean up
    run, failed = recording.new_run(), False
    began = time.monotonic()
    with place.grounds(options.settings) as grounds:
        for case in cases.chosen(options.only):
            print(f"\n{case.name}: {case.title}", flush=True)
            records = measure(case, grounds, run, options)
            _print_ratios(case, records)
            failed |= len({each.side for each in records}) < len(_sides(case, options))
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    return int(failed)


def measure(
    case: Case, grounds: place.Grounds, run: str, options: argparse.Namespace
) -> list[Record]:
    """Measure all sides in turns; another begins in each repeat."""
    records: list[Record] = []
    sides = _sides(case, options)
    for repeat in range(options.repeats):
        first = repeat % max(len(sides), 1)
        for side in [*sides[first:], *sides[:first]]:
            figures = _figures(side, grounds, options.scale)
            new = [_record(run, case, side, repeat, *each) for each in figures.items()]
            shown = ", ".join(f"{r.figure} {r.value:,.6g} {r.unit}" for r in new)
            print(f"  {repeat + 1}. {side.name}: {shown or 'FAILED'}", flush=True)
            if not options.dry_run:
                recording.append(new)
            records += new
    return records


def _sides(case: Case, options: argparse.Namespace) -> list[Side]:
    return [side for side in case.sides if side.name.startswith(tuple(options.side or [""]))]


def _record(run: str, case: Case, side: Side, repeat: int, figure: str, value: float) -> Record:
    return Record(
        run=run, case=case.name, side=side.name, repeat=repeat, figure=figure, value=value,
        unit=case.units[figure], versions=recording.versions(), machine=recording.machine(),
    )  # fmt: skip


def _figures(side: Side, grounds: place.Grounds, plenty: float) -> Figures:
    """Measure one side once; a run whose count is wrong is thrown out, and done again."""
    for _ in range(ATTEMPTS):
        with grounds.place() as here:
            here.plenty = plenty
            try:
                return side.measure(here)
            except RanDry as error:
                plenty *= 2
                print(f"  {side.name}: once more with more. {error}", flush=True)
            except Miscounted as error:
                print(f"  !!! {side.name}: THROWN OUT. {error}\n{_tail(here)}", flush=True)
            except Exception:  # noqa: BLE001  # one side's fault must not end the others' run
                print(f"  !!! {side.name}: {traceback.format_exc()}\n{_tail(here)}", flush=True)
                return {}
    return {}


def _tail(here: place.Place) -> str:
    """The last lines of what the programs said."""
    if not here.log.exists():
        return ""
    return "\n".join(here.log.read_text(errors="replace").splitlines()[-15:])


def _print_ratios(case: Case, records: Sequence[Record]) -> None:
    for target in case.targets:
        ratio = ratios.compare(records, target)
        if ratio is None:
            print(f"  {target.ours} / {target.peer}, {target.figure}: not measured")
            continue
        verdict = {True: "reached", False: "MISSED", None: ""}[target.reached(ratio.median)]
        compared = f"{target.ours} / {target.peer}, {target.figure}"
        print(f"  {compared}: {ratio}; {target.wanted} {verdict}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("--only", type=_words, default=[], help="Only these cases.")
    parser.add_argument("--side", action="append", help="Only sides whose names begin like this; "
                        "may be given several times.")  # fmt: skip
    parser.add_argument("--repeats", type=int, default=3, help="How often each is measured (3).")
    parser.add_argument("--settings", type=_settings, default={}, help="JSON, put over our own "
                        "TASKROUTING to try something out.")  # fmt: skip
    parser.add_argument("--scale", type=float, default=1, help="How many times as many "
                        "messages to have at hand; a busy machine needs fewer.")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="Write no results down.")
    return parser.parse_args()


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _settings(text: str) -> Mapping[str, Any]:
    return dict(json.loads(text))


if __name__ == "__main__":
    sys.exit(main())
