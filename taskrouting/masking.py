"""What must not be read by everybody who may look? Values under a name in ``SENSITIVE``.

In JSON they stand under their name. In a traceback or a log line they stand wherever the code has
put them: there they are found by name, and by value where the event is known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from taskrouting import conf

#: What stands where a value is hidden.
HIDDEN = "••••••"

#: A shorter value is hidden only where it stands in quotes: ``7`` is in every traceback.
SHORTEST = 4

#: More values than this are not looked for in a text: it is not kept at all.
MOST_VALUES = 1_000

#: What may follow a name in text: a quoted text, something in brackets to its line's end, a word.
_VALUE = r"""b?"(?:[^"\\]|\\.)*"?|b?'(?:[^'\\]|\\.)*'?|[\[{(][^\n]*|[^\n,&<}\])]+"""


def hidden(value: Any) -> Any:
    """Return a JSON value in which whatever stands under a sensitive name is hidden."""
    names = _names()

    def walk(part: Any) -> Any:
        if isinstance(part, dict):
            return {k: HIDDEN if k.lower() in names else walk(v) for k, v in part.items()}
        if isinstance(part, str):
            return hidden_in_text(part)
        return [walk(item) for item in part] if isinstance(part, list) else part

    return walk(value)


def hidden_in_text(text: str) -> str:
    """Hide what stands after a sensitive name: as JSON, Python, a form, XML or SQL write it."""
    names = _names()
    return _after_names(names).sub(rf"\g<1>{HIDDEN}", text) if names else text


def without_values(text: str, data: Any) -> str:
    """Hide the sensitive values of ``data`` wherever they stand in ``text``, and by their names."""
    values = {form for value in _values(data, _names()) for form in _forms(value)}
    if len(values) > MOST_VALUES:
        return HIDDEN
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return hidden_in_text(text)


def may_hold(raw: bytes) -> bool:
    """Tell whether bytes that are no text mention a sensitive name, in whatever encoding."""
    plain = raw.replace(b"\x00", b"").lower()
    return any(name.encode() in plain for name in _names())


def _names() -> frozenset[str]:
    return frozenset(name.lower() for name in conf.current().sensitive)


@cache
def _after_names(names: frozenset[str]) -> re.Pattern[str]:
    """Match a sensitive name and what follows it; the first group is what stays."""
    name = "|".join(re.escape(name) for name in sorted(names))
    return re.compile(
        rf"""((?<!\w)\\*["']?(?:{name})\\*["']?\s*[:=]\s*|\((?:{name})\)=|<(?:{name})\b[^>]*>)"""
        rf"""(?:\\+["'][^"'\\]*|{_VALUE})""",
        re.IGNORECASE | re.DOTALL,
    )


def _values(part: Any, names: frozenset[str], *, inside: bool = False) -> Iterator[Any]:
    """Yield every text and number that stands under a sensitive name, however deep."""
    if isinstance(part, dict):
        for key, item in part.items():
            yield from _values(item, names, inside=inside or str(key).lower() in names)
    elif isinstance(part, list):
        for item in part:
            yield from _values(item, names, inside=inside)
    elif inside and isinstance(part, str | int | float) and not isinstance(part, bool):
        yield part


def _forms(value: str | float) -> Iterator[str]:
    """Yield the ways in which a value may have been written."""
    plain = {str(value), repr(value).strip("'\""), json.dumps(value).strip('"')}
    for form in plain - {""}:
        if len(form) >= SHORTEST:
            yield form
        else:
            yield from (f"'{form}'", f'"{form}"', f"({form})")
