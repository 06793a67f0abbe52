"""Do dashboard and alert rules ask for what there is? A misspelt metric is a panel without data."""

from __future__ import annotations

import json
import re

import pytest

from taskrouting.monitoring import exposition
from tests.docs import pages

FOLDER = pages.DOCS / "grafana"
FILES = ("taskrouting.json", "alerts.yml")

RULE = re.compile(r"^      - alert: (\w+)\n(.*?)(?=^      - alert:|\Z)", re.MULTILINE | re.DOTALL)


def metrics_in(text: str) -> set[str]:
    """The metrics that a text asks for; its own title is none."""
    return set(re.findall(r"\btaskrouting_\w+", text))


@pytest.mark.parametrize("file", FILES)
def test_every_metric_that_is_asked_for_is_exported(file: str) -> None:
    """By its full name, with the ending of its kind."""
    asked = metrics_in((FOLDER / file).read_text("utf-8"))

    assert asked
    assert asked <= exposition.names()


def test_every_metric_has_a_panel() -> None:
    """Whatever we export can be seen without writing a query."""
    asked = metrics_in((FOLDER / "taskrouting.json").read_text("utf-8"))

    shown = {name for name in exposition.METRICS if any(each.startswith(name) for each in asked)}
    assert shown == set(exposition.METRICS)


def test_panels_fit_beside_each_other() -> None:
    """None covers another, and each says what it shows."""
    panels = json.loads((FOLDER / "taskrouting.json").read_text("utf-8"))["panels"]
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not own & cells, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert panel["type"] == "row" or panel["description"], panel["title"]
        cells |= own
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_rule_says_how_bad_it_is_and_what_to_do() -> None:
    """Whoever is woken knows why."""
    rules = RULE.findall((FOLDER / "alerts.yml").read_text("utf-8"))

    assert len(rules) > 10
    for name, rule in rules:
        assert re.search(r"severity: (critical|warning) ", rule), name
        assert re.search(r"^          summary: \".+\.\"$", rule, re.MULTILINE), name
        assert re.search(r"^          description: \".+\.\"$", rule, re.MULTILINE), name


def test_every_metric_is_documented() -> None:
    """Who reads monitor.md knows every name, its kind, and its labels."""
    text = pages.section(pages.DOCS / "how-to" / "monitor.md", "Metrics")
    told = {pages.codes(row[0])[0]: set(pages.codes(row[1])) for row in pages.rows(text)}
    ending = {"counter": "_total"}

    assert told == {
        name + ending.get(metric.kind, ""): set(metric.labels)
        for name, metric in exposition.METRICS.items()
    }
