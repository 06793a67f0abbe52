"""Does the house still have its shape? The rules that a reviewer should not have to remember.

Which floor may import which is checked by ``lint-imports``; here is what it cannot see.
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

from django.contrib import admin

ROOT = Path(__file__).parent.parent
LONGEST_FILE = 300
LONGEST_TEST_FILE = 600  # a list of promises, each of which is read by itself
LONGEST_FUNCTION = 40
MEDIAN_FUNCTION = 8

#: Words that stand where a better one was not looked for, and words for which docs/glossary.md has
#: another. Plurals are banned with them.
BANNED_WORDS = {
    "callback",
    "common",
    "helper",
    "impl",
    "job",
    "listener",
    "manager",
    "misc",
    "util",
}
BANNED_STARTS = ("do_", "process_")
#: Classes inside classes whose meaning Django has given.
DJANGOS = {"Media", "Meta"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


def modules_in(folder: str) -> list[Path]:
    """Every module in the folder, but the migrations, which Django writes."""
    found = sorted((ROOT / folder).rglob("*.py"))
    return [path for path in found if path.parent.name != "migrations"]


def place(path: Path) -> str:
    """The path as a reader knows it: from the top of the repository."""
    return path.relative_to(ROOT).as_posix()


PACKAGE = modules_in("taskrouting")
PROJECT = [*modules_in("project"), ROOT / "manage.py"]
CODE = [*PACKAGE, *PROJECT, *modules_in("benchmarks")]
TESTS = modules_in("tests")


def tree_of(path: Path) -> ast.Module:
    """The module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions_of(path: Path) -> list[Function]:
    """Every function and method in the module, inner ones too."""
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, Function)]


def lines_of(path: Path) -> int:
    """How many lines a reader of the file scrolls through."""
    return len(path.read_text(encoding="utf-8").splitlines())


def length_of(function: Function) -> int:
    """How many lines a reader of the function sees."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def public_in(scope: ast.Module | ast.ClassDef) -> list[Definition]:
    """The public classes, functions and methods that a reader of the module may use."""
    found = [node for node in scope.body if isinstance(node, Definition)]
    found = [node for node in found if not node.name.startswith("_") and node.name not in DJANGOS]
    inner = [public_in(node) for node in found if isinstance(node, ast.ClassDef)]
    return [*found, *(node for nodes in inner for node in nodes)]


def names_in(path: Path) -> set[str]:
    """What the module calls itself, its classes and its functions."""
    defined = {node.name for node in ast.walk(tree_of(path)) if isinstance(node, Definition)}
    return {path.stem, *defined}


def words_of(name: str) -> set[str]:
    """The words of a name in snake_case or CamelCase, in the singular."""
    return {word.lower().removesuffix("s") for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


def imports(path: Path, *packages: str) -> bool:
    """Whether the module imports from the packages, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    roots = tuple(f"{package}." for package in packages)
    return any(f"{name}.".startswith(roots) for name in found)


def test_files_and_functions_fit_in_the_head() -> None:
    """No file and no function is longer than a reader can hold."""
    too_long = [place(path) for path in CODE if lines_of(path) > LONGEST_FILE]
    too_long += [place(path) for path in TESTS if lines_of(path) > LONGEST_TEST_FILE]
    functions = {
        f"{place(path)}: {function.name}": length_of(function)
        for path in [*CODE, *TESTS]
        for function in functions_of(path)
    }

    assert too_long == []
    assert {name: lines for name, lines in functions.items() if lines > LONGEST_FUNCTION} == {}


def test_most_functions_are_a_few_lines() -> None:
    """Half of the package's functions can be read at a glance."""
    lengths = [length_of(function) for path in PACKAGE for function in functions_of(path)]

    assert statistics.median(lengths) <= MEDIAN_FUNCTION


def test_everything_public_says_what_it_is() -> None:
    """Modules, classes, functions and tests have a docstring; only an empty file needs none."""
    trees = {place(path): tree_of(path) for path in [*CODE, *TESTS]}
    definitions = [(name, node) for name, tree in trees.items() for node in public_in(tree)]

    assert [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []
    assert [(at, node.name) for at, node in definitions if not ast.get_docstring(node)] == []


def test_names_use_the_glossary() -> None:
    """Classes, functions and modules speak the words of docs/glossary.md."""
    names = [(place(path), name) for path in CODE for name in names_in(path)]

    assert [(at, name) for at, name in names if words_of(name) & BANNED_WORDS] == []
    assert [(at, name) for at, name in names if name.startswith(BANNED_STARTS)] == []


def test_a_base_class_has_more_than_one_child() -> None:
    """What has one form needs no base class."""
    classes = [n for path in CODE for n in ast.walk(tree_of(path)) if isinstance(n, ast.ClassDef)]
    parents = [ast.unparse(base).rpartition(".")[2] for node in classes for base in node.bases]
    bases = [node.name for node in classes if "base" in words_of(node.name)]

    assert [name for name in bases if parents.count(name) < 2] == []


def test_only_the_transport_knows_kombu() -> None:
    """Whoever replaces Kombu has one room to look into."""
    transport = ROOT / "taskrouting" / "transport"
    others = [path for path in [*PACKAGE, *PROJECT] if not path.is_relative_to(transport)]

    assert [place(path) for path in others if imports(path, "kombu", "amqp", "vine")] == []


def test_settings_are_read_in_one_place() -> None:
    """A setting has a name, a default and a check in conf.py, or it does not exist."""
    readers = [place(path) for path in PACKAGE if imports(path, "django.conf")]

    assert readers == ["taskrouting/conf.py"]


def test_no_test_sleeps() -> None:
    """A test waits for what it wants to see, with a deadline: see tests/waiting.py."""
    calls = [
        (place(path), node.lineno, ast.unparse(node.func))
        for path in TESTS
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
    ]

    assert [call for call in calls if call[2].endswith("sleep")] == []


def test_every_admin_action_names_its_permission() -> None:
    """The right to see a row is not the right to act on it."""
    site = admin.site
    ours = [site.get_model_admin(m) for m in site._registry if "taskrouting" in m.__module__]
    actions = {
        f"{shown}.{name}": getattr(shown, name) for shown in ours for name in shown.actions or ()
    }

    assert actions, "the admin offers none of our actions"
    assert [
        name for name, action in actions.items() if not getattr(action, "allowed_permissions", None)
    ] == []


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Templates, static files, migrations and py.typed reach the user; tests and example do not."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        members = {name for name in wheel.namelist() if ".dist-info/" not in name}

    files = [path for path in (ROOT / "taskrouting").rglob("*") if path.is_file()]
    assert members == {place(path) for path in files if path.suffix != ".pyc"}
    assert "taskrouting/py.typed" in members
