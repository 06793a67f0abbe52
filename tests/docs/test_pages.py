"""Do the pages hold together? Links lead somewhere, code can be read and calls what there is."""

from __future__ import annotations

import ast
import inspect
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import taskrouting
from taskrouting import operators
from taskrouting.contrib import testing
from tests.docs import pages

OURS = {name: getattr(taskrouting, name) for name in taskrouting.__all__}
CALLABLE = {**OURS, "capture_events": testing.capture_events,
            "run_subscribers": testing.run_subscribers, "discard": operators.discard,
            "redrive": operators.redrive}  # fmt: skip
LANGUAGES = {"bash", "console", "dockerfile", "ini", "python", "sql", "text", "yaml"}


@pytest.fixture(params=pages.PAGES, ids=pages.name)
def page(request: pytest.FixtureRequest) -> Path:
    """Each page of the documentation, and the README."""
    return request.param


def test_every_link_leads_somewhere(page: Path) -> None:
    """A reader who follows a link finds the file, and the heading on it."""
    for link in pages.links(page):
        target, _, anchor = link.partition("#")
        found = (page.parent / target).resolve() if target else page
        assert found.is_file(), f"{link}: no such file"
        if anchor:
            assert anchor in pages.anchors(found), f"{link}: no such heading"


def test_no_link_leads_out_of_the_repository(page: Path) -> None:
    """The pages can be read where there is no network, and from whatever place they are kept."""
    assert [link for link in pages.links(page) if "://" in link] == []


def test_code_is_marked_with_its_language(page: Path) -> None:
    """Every block is coloured, and none is taken for something else."""
    assert {block.language for block in pages.blocks(page.read_text("utf-8"))} <= LANGUAGES


def test_python_code_can_be_read(page: Path) -> None:
    """What is marked as Python is Python."""
    for block in python_blocks(page):
        ast.parse(block)


def test_code_imports_what_there_is(page: Path) -> None:
    """Every name that is imported from taskrouting is there."""
    for block in python_blocks(page):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("taskrouting"):
                module = import_module(str(node.module))
                for alias in node.names:
                    assert has(module, alias.name), f"{node.module} has no {alias.name}"


def has(module: Any, name: str) -> bool:
    """Whether a name can be imported from a module."""
    if hasattr(module, name):
        return True
    try:
        import_module(f"{module.__name__}.{name}")
    except ImportError:
        return False
    return True


def test_code_calls_what_there_is_by_its_arguments(page: Path) -> None:
    """Every call of ours in an example has arguments that the function takes."""
    for block in python_blocks(page):
        for node in ast.walk(ast.parse(block)):
            name = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and name in CALLABLE and not is_method(node):
                bound = {str(keyword.arg): None for keyword in node.keywords}
                inspect.signature(CALLABLE[name]).bind_partial(*node.args, **bound)


def is_method(call: ast.Call) -> bool:
    """Whether what is called belongs to something that is not a module of ours."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return owner is not None and ast.unparse(owner) not in {"operators", "taskrouting"}


def python_blocks(page: Path) -> list[str]:
    """The Python code of a page."""
    blocks = pages.blocks(page.read_text("utf-8"))
    return [block.text for block in blocks if block.language == "python"]


def test_every_page_is_in_the_index() -> None:
    """Whoever begins at the index finds every page."""
    index = pages.DOCS / "index.md"
    listed = {(index.parent / link).resolve() for link in pages.links(index)}

    assert {page for page in pages.PAGES if page != index} <= listed


def test_the_drawings_adapt_to_dark_pages() -> None:
    """Drawings are text that says what they show, for light and for dark surroundings."""
    drawings = sorted((pages.DOCS / "images").glob("*.svg"))

    assert drawings
    for drawing in drawings:
        text = drawing.read_text("utf-8")
        assert "prefers-color-scheme: dark" in text, drawing.name
        assert "<title" in text, drawing.name
        assert "<desc" in text, drawing.name


def test_every_picture_is_shown_in_words_and_quickly() -> None:
    """Photographs say nothing themselves: the pages say what is to be seen. None is large."""
    shown = {picture: words for page in pages.PAGES for words, picture in pages.pictures(page)}

    for picture in (pages.DOCS / "images").iterdir():
        assert picture.suffix in {".png", ".svg"}, picture.name
        assert picture.stat().st_size < 250_000, picture.name
        assert len(shown.get(picture, "").split()) > 5, f"no page says what {picture.name} shows"


def test_the_readme_says_what_the_package_needs() -> None:
    """Versions in the README are those that the package declares."""
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = " ".join(pages.section(pages.README, "Requirements").split())
    listed = [each.rpartition(" :: ")[2] for each in project["classifiers"]]
    pythons = [each for each in listed if each.startswith("3.")]
    djangos = [each for each in listed if each[0] in "56" and "." in each]

    assert f"Python {pythons[0]} to {pythons[-1]}" in text
    assert f"Django {djangos[0]} to {djangos[-1]}" in text
    assert project["license"] in pages.README.read_text("utf-8")
