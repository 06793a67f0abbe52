"""Which tables and pictures do the results make? ``make bench-report`` writes them.

Of each case the newest run counts that measured it. What stands in the page between the markers is
written anew, and nothing else of it.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Sequence

from . import cases, pictures, ratios, recording
from .model import Case, Target
from .programs import ROOT
from .recording import Record

PAGE = ROOT / "docs" / "explanation" / "performance.md"
PICTURE = ROOT / "docs" / "images" / "performance.svg"
BEGIN, END = "<!-- results: written by `make bench-report` -->", "<!-- end of the results -->"


def main() -> None:
    """Write the results into the page, and the picture beside it."""
    records = recording.read()
    measured = [(case, found) for case in cases.chosen([]) if (found := newest(case, records))]
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n\n".join(_sections(measured))
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    bars = [bar for case, found in measured for bar in _bars(case, found)]
    PICTURE.write_text(pictures.draw("How many times better than the other", bars), "utf-8")


def newest(case: Case, records: Sequence[Record]) -> list[Record]:
    """Return the records of the newest run that measured all sides of ``case``, or else any."""
    runs: dict[str, list[Record]] = {}
    for each in records:
        if each.case == case.name:
            runs.setdefault(each.run, []).append(each)
    sides = {side.name for side in case.sides}
    whole = [run for run, found in runs.items() if sides <= {each.side for each in found}]
    chosen = max(whole or runs, default=None)
    return runs[chosen] if chosen else []


def _sections(measured: Sequence[tuple[Case, list[Record]]]) -> Iterator[str]:
    if not measured:
        yield "Nothing has been measured yet."
        return
    yield _machine(measured[-1][1][-1])
    for case, records in measured:
        yield f"### {case.name}\n\n{case.title[0].upper()}{case.title[1:]}."
        yield "\n".join(_comparisons(case, records))
        yield "\n".join(_figures(case, records))


def _machine(record: Record) -> str:
    machine, versions = record.machine, record.versions
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Measured on {machine['cpus']} processors ({machine['model']}), {machine['memory_gib']} "
        f"GiB, with {listed}."
    )


def _comparisons(case: Case, records: Sequence[Record]) -> Iterator[str]:
    yield "| Ratio of | Median | Lowest to highest | Wanted | |"
    yield "| --- | --- | --- | --- | --- |"
    for target in case.targets:
        ratio = ratios.compare(records, target)
        if ratio is None:
            yield f"| {_label(case, target)} | not measured | | {target.wanted} | |"
            continue
        verdict = {True: "reached", False: "**missed**", None: ""}[target.reached(ratio.median)]
        yield (
            f"| {_label(case, target)} | {ratio.median:.2f} | {ratio.lowest:.2f} to "
            f"{ratio.highest:.2f} (n={ratio.repeats}) | {target.wanted} | {verdict} |"
        )


def _figures(case: Case, records: Sequence[Record]) -> Iterator[str]:
    yield "| Side | Median | Lowest to highest | Set up as |"
    yield "| --- | --- | --- | --- |"
    for side in case.sides:
        for figure, unit in case.units.items():
            values = [r.value for r in records if (r.side, r.figure) == (side.name, figure)]
            if values:
                several = f"{figure} " if len(case.units) > 1 else ""
                yield (
                    f"| {side.name} | {several}{_number(statistics.median(values))} {unit} | "
                    f"{_number(min(values))} to {_number(max(values))} | "
                    f"{re.sub(r'[|]', '&#124;', side.settings)} |"
                )


def _label(case: Case, target: Target) -> str:
    several = f", {target.figure}" if len(case.units) > 1 else ""
    return f"{target.ours} / {target.peer}{several}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _bars(case: Case, records: Sequence[Record]) -> Iterator[pictures.Bar]:
    less = {target.figure for target in case.targets if target.at_most is not None}
    for target in case.targets:
        ratio = ratios.compare(records, target)
        if ratio is None:
            continue
        label = f"{case.name}: {_label(case, target)}"
        if target.figure in less:
            wanted = None if target.at_most is None else 1 / target.at_most
            yield pictures.Bar(label, 1 / ratio.median, 1 / ratio.highest, 1 / ratio.lowest, wanted)
        else:
            yield pictures.Bar(label, ratio.median, ratio.lowest, ratio.highest, target.at_least)


if __name__ == "__main__":
    main()
