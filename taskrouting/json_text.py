"""Which JSON can be kept by every database, and read back as what it was?

JSON as in RFC 8259, minus what PostgreSQL's ``jsonb`` refuses (NUL characters, halves of surrogate
pairs) and what readers disagree about (keys that stand twice, NaN and Infinity, numbers without
end, depth without end). Whatever ``dumps`` writes, ``loads`` reads back equal.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from taskrouting.exceptions import InvalidEnvelope, InvalidEventData

#: How deep lists and dicts may be nested. Far below where Python's own reader and writer give up,
#: which depends on the version and on how deep the stack already is.
MAX_DEPTH = 100

#: An int that has surely no more digits than Python writes.
_LARGE = 2**63

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80

_REFUSED_CHARACTERS = re.compile(r"[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """Replace what PostgreSQL keeps in no text and in no JSON: NUL and lone surrogates."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")


def dumps(value: Any, where: str) -> str:
    """Write ``value`` as compact JSON text that is not escaped to ASCII.

    Raises InvalidEventData, which says which part of ``where`` is no JSON value, and why.
    """
    return compact(checked(value, where))


def checked(value: Any, where: str) -> Any:
    """Return ``value``; raises InvalidEventData as ``dumps`` does."""
    if reason := fault(value, where):
        raise InvalidEventData(f"{reason}.")
    return value


def compact(value: Any) -> str:
    """Write a value that is known to have no fault."""
    return _WRITER.encode(value)


def loads(text: str, where: str, levels: int = MAX_DEPTH) -> Any:
    """Read JSON text that is nested no deeper than ``levels``.

    Raises InvalidEnvelope, which says what ``where`` holds that is not JSON, or not ours.
    """
    try:
        value = _READER.decode(text)
        reason = fault(value, where, levels) if _may_hide_a_fault(text, levels) else ""
    except RecursionError as error:
        raise InvalidEnvelope(f"{where}: nested deeper than {levels} levels.") from error
    except ValueError as error:
        raise InvalidEnvelope(f"{where} is not JSON: {error}.") from error
    if reason:
        raise InvalidEnvelope(f"{reason}.")
    return value


def fault(value: Any, where: str, levels: int = MAX_DEPTH) -> str:
    """Say which part of ``value`` is not JSON that every database keeps; empty if all of it is.

    The sentence starts with the place: ``data.user.tags[3]: float nan is no JSON number``.
    """
    if _is_plain(value, levels):
        return ""
    found = _fault(value, levels)
    return "".join((where, *found)) if found else ""


def weighs_more(value: Any, most: int) -> bool:
    """Tell whether ``value``, written out, has more parts and characters of text than ``most``.

    What stands in several places counts each time. Stops when it is sure, so that a value that
    contains itself, or one part a million times, is told as fast as any.
    """
    weight, parts = 0, [value]
    while parts and weight <= most:
        part = parts.pop()
        weight += 1
        match part:
            case str() | bytes():
                weight += len(part)
            case dict() if len(part) <= most:
                parts += [*part, *part.values()]
            case list() | tuple() if len(part) <= most:
                parts += part
    return weight > most


def is_deeper(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Tell whether ``value`` is nested deeper than ``levels``, however deep that is."""
    parts, depth = [value], 0
    while parts and depth <= levels:
        parts = [inner for part in parts for inner in _inside(part)]
        depth += 1
    return bool(parts)


def shallow(value: Any, levels: int = MAX_DEPTH) -> Any:
    """Return ``value`` without what is nested deeper than ``levels``; an ellipsis stands for it."""
    if isinstance(value, dict | list | tuple) and not levels:
        return "…"
    if isinstance(value, dict):
        return {key: shallow(item, levels - 1) for key, item in value.items()}
    return [shallow(item, levels - 1) for item in value] if isinstance(value, list) else value


def text_fault(text: str) -> str:
    """Say which character keeps ``text`` out of a database; empty if it can be kept."""
    if is_plain_text(text):
        return ""
    if refused := _REFUSED_CHARACTERS.search(text):
        kind = "a NUL character" if refused[0] == "\x00" else "half a surrogate pair"
        return f"text with {kind} at index {refused.start()}, which no database keeps"
    return ""


def is_plain_text(text: str) -> bool:
    """Say whether ``text`` is ASCII without a fault: what most texts are, and is seen at once."""
    return text.isascii() and "\x00" not in text


def shown(value: object) -> str:
    """Show ``value`` in an error message: short, and whatever it is without failing."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # an int with more digits than Python writes
        return object.__repr__(value)


def _inside(part: Any) -> Iterable[Any]:
    """Return what is nested in a part directly."""
    if isinstance(part, dict):
        return part.values()
    return part if isinstance(part, list | tuple) else ()


def _is_plain(value: Any, levels: int) -> bool:
    """Say whether ``value`` is what most values are, which have no fault and are seen quickly."""
    kind = type(value)
    if kind is str:
        return is_plain_text(value)
    if kind is dict and levels:
        for key, item in value.items():
            if type(key) is not str or not is_plain_text(key) or not _is_plain(item, levels - 1):
                return False
        return True
    return kind is bool or value is None or (kind is int and abs(value) < _LARGE)


def _fault(value: Any, levels: int) -> tuple[str, ...]:
    """Return the steps that lead to the first fault, and the fault; empty if there is none."""
    reason = ""
    match value:
        case None | bool():
            return ()
        case str():
            reason = text_fault(value)
        case int():
            reason = _int_fault(value)
        case float() if not math.isfinite(value):
            reason = f"float {value} is no JSON number"
        case float():
            return ()
        case dict() | list() | tuple() if not levels:
            reason = "nested too deeply"
        case dict():
            return _dict_fault(value, levels - 1)
        case list() | tuple():
            return _list_fault(value, levels - 1)
        case _:
            reason = f"{type(value).__name__} {shown(value)} is no JSON value; write it as text"
    return (f": {reason}",) if reason else ()


def _dict_fault(items: dict[Any, Any], levels: int) -> tuple[str, ...]:
    for key, value in items.items():
        if not isinstance(key, str):
            return (f": the key {shown(key)} is {type(key).__name__}, not text",)
        if reason := text_fault(key):
            return (f": the key {shown(key)} is {reason}",)
        if found := _fault(value, levels):
            return (f".{key}" if key.isidentifier() else f"[{shown(key)}]", *found)
    return ()


def _list_fault(items: list[Any] | tuple[Any, ...], levels: int) -> tuple[str, ...]:
    for index, value in enumerate(items):
        if found := _fault(value, levels):
            return (f"[{index}]", *found)
    return ()


def _int_fault(value: int) -> str:
    try:
        int.__repr__(value)
    except ValueError:  # Python's limit on the digits of an int, against quadratic time
        return "an int with more digits than Python writes"
    return ""


def _may_hide_a_fault(text: str, levels: int) -> bool:
    """Tell whether a value read from ``text`` must be searched.

    Only an escape can bring in a character that UTF-8 text cannot hold, and only brackets nest.
    """
    return "\\u" in text or text.count("[") + text.count("{") > levels


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: readers disagree which value counts."""
    read = dict(pairs)
    if len(read) < len(pairs):
        twice = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
        raise ValueError(f"the key {shown(twice[0])} stands twice in one object")
    return read


def _float(text: str) -> float:
    """Refuse ``1e999``, which Python would read as infinity."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {shown(text)} is too large")
    return number


def _constant(name: str) -> Any:
    """Refuse NaN and Infinity, which Python would read although JSON has no such thing."""
    raise ValueError(f"{name} is no JSON number")


_WRITER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_READER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
