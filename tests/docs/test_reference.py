"""Is everything in the reference, and nothing that is not there? Compared with the code."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from django.dispatch import Signal

import taskrouting
from taskrouting import conf, exceptions, signals
from taskrouting.admin import AuditLogAdmin, DeadLetterAdmin, DeliveryAdmin, MessageAdmin, searching
from taskrouting.dead_letters.models import DeadLetter
from taskrouting.transport.capabilities import KNOWN
from tests.docs import pages

REFERENCE = pages.DOCS / "reference"
PACKAGE = pages.ROOT / "taskrouting"
COMMANDS = sorted(path.stem for path in (PACKAGE / "management" / "commands").glob("[a-z]*.py"))
MODELS = [each for each in apps.get_app_config("taskrouting").get_models() if not each._meta.proxy]


def page(name: str) -> str:
    """The text of a page of the reference."""
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def table(name: str, heading: str) -> list[list[str]]:
    """The rows of the tables under a heading of a page of the reference."""
    return pages.rows(pages.section(REFERENCE / f"{name}.md", heading))


def written(value: object) -> object:
    """A setting's default as a user would write it."""
    match value:
        case timedelta():
            return value.total_seconds()
        case tuple():
            return list(value)
        case Mapping() | conf.AuditSettings() | conf.AlertSettings():
            return {}
        case _:
            return value


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("Keys of TASKROUTING", conf.Settings),
        ("Keys of QUEUES", conf.QueueSettings),
        ("Keys of AUDIT", conf.AuditSettings),
        ("Keys of ALERTS", conf.AlertSettings),
    ],
)
def test_every_setting_is_documented_with_its_default(heading: str, kind: type[Any]) -> None:
    """Who reads settings.md knows every key and what happens if it is left out."""
    upper = kind is conf.Settings
    defaults = {
        field.name.upper() if upper else field.name: written(getattr(kind(), field.name))
        for field in fields(kind)
    }

    told = {
        pages.codes(row[0])[0]: ast.literal_eval(pages.codes(row[1])[0])
        for row in table("settings", heading)
    }

    assert told == defaults


def test_every_signal_is_documented_with_what_it_carries() -> None:
    """Who reads signals.md can write a receiver, and no argument comes as a surprise."""
    sent = {name for name, value in vars(signals).items() if isinstance(value, Signal)}
    told = {pages.codes(row[0])[0]: row[1] for row in pages.rows(page("signals"))}

    assert set(told) == sent
    for name, arguments in arguments_by_signal().items():
        assert set(re.findall(r"`(\w+)`", told[name])) - {"timedelta", "None"} == arguments, name


def arguments_by_signal() -> dict[str, set[str]]:
    """What the code sends with each signal, by its calls of ``signals.emit``."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "signals.emit":
                name = ast.unparse(node.args[0]).rpartition(".")[2]
                arguments = {str(keyword.arg) for keyword in node.keywords}
                assert found.setdefault(name, arguments) == arguments, f"{name} varies"
    return found


def test_every_command_is_documented() -> None:
    """Who reads commands.md knows what there is to type."""
    assert sorted(pages.headings(REFERENCE / "commands.md")[1:]) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    """A command's arguments, all of them and no others, are in its table."""
    told = {pages.codes(row[0])[0] for row in table("commands", name)}

    assert told == arguments_of(name)


def arguments_of(name: str) -> set[str]:
    """What a command takes beside what every command of Django takes."""
    ours = load_command_class("taskrouting", name).create_parser("manage.py", name)
    djangos = BaseCommand().create_parser("manage.py", name)
    return {argument_name(action) for action in ours._actions} - {
        argument_name(action) for action in djangos._actions
    }


def argument_name(action: argparse.Action) -> str:
    """What stands for the argument in the usage line."""
    return action.option_strings[-1] if action.option_strings else action.metavar or action.dest


def test_every_check_is_documented_at_its_level() -> None:
    """Whoever meets an id finds it in checks.md, among the errors, warnings or informations."""
    code = "".join(path.read_text(encoding="utf-8") for path in (PACKAGE / "checks").glob("*.py"))
    given = set(re.findall(r'id="(taskrouting\.\w+)"', code))

    assert set(re.findall(r"`(taskrouting\.[EWI]\d+)` \|", page("checks"))) == given
    for heading, letter in (("Errors", "E"), ("Warnings", "W"), ("Information", "I")):
        ids = [pages.codes(row[0])[0] for row in table("checks", heading)]
        assert [each for each in ids if not each.startswith(f"taskrouting.{letter}")] == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_is_documented(model: Any) -> None:
    """Who reads models.md knows what each column means."""
    told = [name for row in table("models", model.__name__) for name in pages.codes(row[0])]

    assert sorted(told) == sorted(field.name for field in model._meta.fields if field.name != "id")


def test_every_table_is_documented() -> None:
    """Who reads models.md knows every table."""
    assert set(pages.headings(REFERENCE / "models.md")[1:]) == {each.__name__ for each in MODELS}


@pytest.mark.parametrize("name", taskrouting.__all__)
def test_every_public_name_is_documented_with_its_signature(name: str) -> None:
    """What api.md says that a function takes, with its defaults, is what it takes."""
    section = pages.section(REFERENCE / "api.md", name)
    public = getattr(taskrouting, name)

    code = [block.text for block in pages.blocks(section) if block.language == "python"]
    for text in code:
        assert signature_of(text) == plain_signature(public)
    assert code or inspect.isclass(public)


def signature_of(text: str) -> str:
    """The signature that a call in the documentation spells out."""
    inner = " ".join(text.partition("(")[2].rpartition(")")[0].split())
    return f"({inner.removesuffix(',')})"


def plain_signature(public: Any) -> str:
    """The signature without its types."""
    signature = inspect.signature(public)
    parameters = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    text = str(signature.replace(parameters=parameters, return_annotation=signature.empty))
    return text.replace("'", '"').replace('<class "Exception">', "Exception")


def test_every_exception_is_documented() -> None:
    """Who reads api.md can catch everything that is raised on purpose."""
    raised = {name for name, each in vars(exceptions).items() if inspect.isclass(each)}
    ours = {each for each in raised if getattr(exceptions, each).__module__ == exceptions.__name__}

    assert ours <= set(pages.codes(page("api")))


def test_every_term_of_a_search_is_documented_for_its_lists() -> None:
    """Who reads search.md knows what the box of each list takes."""
    told = {pages.codes(row[0])[0].rstrip(":"): row[2] for row in table("search", "Terms")}
    lists = {
        "audit log": AuditLogAdmin, "deliveries": DeliveryAdmin,
        "dead letters": DeadLetterAdmin, "waiting messages": MessageAdmin,
    }  # fmt: skip

    for name, shown in lists.items():
        documented = {term for term, where in told.items() if where in ("all", name)}
        assert documented == set(searching.names(shown.searched)), name


def test_every_reason_of_a_dead_letter_is_documented() -> None:
    """Who has a dead letter finds its reason explained."""
    rows = pages.rows(pages.section(pages.DOCS / "how-to" / "handle-failures.md", "Dead letters"))

    assert {pages.codes(row[0])[0] for row in rows} == set(DeadLetter.Reason.values)


def test_the_table_of_transports_is_the_codes() -> None:
    """What transports.md says that a broker can do is what the code believes."""
    text = (pages.DOCS / "explanation" / "transports.md").read_text(encoding="utf-8")
    flags = ("confirms", "routes", "shared", "durable", "tells_redelivery", "priority",
             "lists_bindings", "tells_backlog")  # fmt: skip

    told = {pages.codes(row[0])[0].removesuffix("://"): row[1:] for row in pages.rows(text)}

    assert set(told) == {can.name for can in KNOWN.values()}
    for name, cells in told.items():
        assert cells == [shown(getattr(KNOWN[name], flag)) for flag in flags], name


def shown(flag: bool | str) -> str:
    """A capability as the table shows it."""
    return {True: "yes", False: "no"}.get(flag, str(flag)) if isinstance(flag, bool) else flag


def test_the_reference_has_no_page_without_a_test() -> None:
    """A new page of the reference gets a comparison with the code, here."""
    compared = {"api", "checks", "commands", "models", "search", "settings", "signals"}

    assert {path.stem for path in Path(REFERENCE).glob("*.md")} == compared
