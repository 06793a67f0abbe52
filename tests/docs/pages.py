"""What do the documentation's pages hold? Their sections, code blocks, tables and links.

Code blocks that can be run follow three conventions, which read naturally:

- ``python`` whose first line is a comment with a file's name is added to the end of that file.
- ``console`` has commands after ``$``, and below each the lines it must print, among others.
- ``text`` after them has lines that a program in the background must print by and by.

``…`` in a line to be printed stands for anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\S+\.\w+)\n")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that the block belongs to, if its first line says so."""
        named = _FILE.match(self.text)
        return named[1] if named else None

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """The commands of a console, each with the lines it must print."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.strip():
                found[-1][1].append(line)
        return found


def name(page: Path) -> str:
    """The page as a reader knows it: from the top of the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[Block]:
    """Every code block, in order."""
    return [Block(language, code) for language, code in _FENCE.findall(text)]


def section(page: Path, heading: str) -> str:
    """What stands under a heading, down to the next of its own level or a higher one."""
    text = _without_code(page.read_text(encoding="utf-8"))
    original = page.read_text(encoding="utf-8")
    for found in _HEADING.finditer(text):
        if found[2] == heading:
            level = len(found[1])
            ends = (h.start() for h in _HEADING.finditer(text, found.end()) if len(h[1]) <= level)
            return original[found.end() : next(ends, len(text))]
    raise LookupError(f"{name(page)} has no heading {heading!r}")


def headings(page: Path) -> list[str]:
    """The text of every heading."""
    text = _without_code(page.read_text(encoding="utf-8"))
    return [found[2] for found in _HEADING.finditer(text)]


def anchors(page: Path) -> set[str]:
    """The names under which a link finds the headings, as forges make them."""
    kept = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings(page)]
    return {text.replace(" ", "-") for text in kept}


def links(page: Path) -> list[str]:
    """The targets of all links and pictures."""
    return _LINK.findall(_without_code(page.read_text(encoding="utf-8")))


def pictures(page: Path) -> list[tuple[str, Path]]:
    """The words and the files of all pictures."""
    found = _PICTURE.findall(_without_code(page.read_text(encoding="utf-8")))
    return [(words, (page.parent / target).resolve()) for words, target in found]


def rows(text: str) -> list[list[str]]:
    """The rows of all tables, cell by cell, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = {number for number, row in enumerate(cells) if set("".join(row)) <= set("-: ")}
    return [row for number, row in enumerate(cells) if not {number, number + 1} & rules]


def codes(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def _without_code(text: str) -> str:
    """Blank the code blocks out, and leave everything else at its place."""
    return _FENCE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
