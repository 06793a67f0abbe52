"""Does this pattern want this routing key?

A routing key is words joined by dots, for example ``video.upload``. A pattern is the same, where
the word ``*`` stands for exactly one word and the word ``#`` for zero or more: the topic grammar
of AMQP 0-9-1, as RabbitMQ plays it. An empty key has no words at all; between two dots stands an
empty word, which is a word like any other. ``*`` and ``#`` beside other characters are ordinary
characters: ``vid*`` matches the word ``vid*`` and nothing else.

This module is the one place where that grammar lives. Kombu's virtual exchange answers
differently, so a pattern that works in development would miss events in production.
"""

from __future__ import annotations

import re
from functools import lru_cache

from taskrouting import json_text
from taskrouting.exceptions import InvalidPattern, InvalidRoutingKey

__all__ = [
    "MAX_BYTES",
    "InvalidPattern",
    "InvalidRoutingKey",
    "expression",
    "matches",
    "pattern_in",
    "suspicious_words",
    "validate_pattern",
    "validate_routing_key",
    "wildcards",
    "word",
    "words",
]

#: AMQP keeps routing keys and patterns in a "short string": this many bytes of UTF-8.
MAX_BYTES = 255

#: Patterns kept compiled; those that were not used for longest are forgotten.
_COMPILED_PATTERNS = 4096

#: One whole word, whatever it is; possessive, so that a word is never cut in two.
_ONE_WORD = r"\.[^.]*+"

#: As few whole words as will do.
_ANY_WORDS = rf"(?:{_ONE_WORD})*?"

#: What ``expression`` writes for wildcards and dots; in words it puts a backslash before the signs.
_WRITTEN = (("([^.]*[.])*", "#."), ("([.][^.]*)*", ".#"), ("[.]", "."), ("[^.]*", "*"))

_NO_WORD_CHARACTERS = re.compile(r"[.*#\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def matches(pattern: str, routing_key: str) -> bool:
    """Tell whether a queue bound with ``pattern`` receives an event sent as ``routing_key``."""
    return _compiled(pattern).fullmatch(_dotted(routing_key)) is not None


def expression(pattern: str) -> str:
    """Write ``pattern`` as a regular expression that a database can search routing keys with.

    It takes ``[^.]`` and ``*`` only, which mean the same everywhere. Each ``#`` beside words may
    cost a database another walk along the key: who takes patterns from people limits their number.
    """
    found = words(pattern)
    each = [one for at, one in enumerate(found) if (one, found[at - 1 : at]) != ("#", ["#"])]
    if each == ["#"]:
        return "^"
    leading = each[:1] == ["#"]
    text = "^([^.]*[.])*" if leading else "^"
    for number, one in enumerate(each[leading:]):
        literal = "[^.]*" if one == "*" else re.escape(one)
        text += "([.][^.]*)*" if one == "#" else f"{'[.]' if number else ''}{literal}"
    return f"{text}$"


def pattern_in(text: str) -> str | None:
    """Read back the pattern that ``expression`` wrote as ``text``; ``None`` if it did not."""
    if text == "^":
        return "#"
    found = text[1:-1]
    for written, meant in _WRITTEN:
        found = found.replace(written, meant)
    found = re.sub(r"\\(.)", r"\1", found, flags=re.DOTALL)  # as re.escape wrote it
    return found if expression(found) == text else None


def validate_pattern(pattern: object) -> str:
    """Return ``pattern`` if a routing key that can be published may match it.

    Raises InvalidPattern, which says what is wrong: not text, empty (no event has an empty
    routing key), over 255 bytes in UTF-8, a NUL character or half a surrogate pair.
    """
    return _short_string(pattern, "pattern", InvalidPattern)


def validate_routing_key(key: object) -> str:
    """Return ``key`` if an event can be published under it.

    Raises InvalidRoutingKey, which says what is wrong: not text, empty, over 255 bytes in UTF-8,
    a NUL character or half a surrogate pair.
    """
    return _short_string(key, "routing key", InvalidRoutingKey)


def suspicious_words(pattern: str) -> list[str]:
    """Return the words that hold ``*`` or ``#`` beside other characters, such as ``vid*``.

    AMQP takes them literally, so they are legal; whoever wrote one nearly always meant a wildcard.
    """
    return [each for each in pattern.split(".") if len(each) > 1 and ("*" in each or "#" in each)]


def wildcards(routing_key: str) -> list[str]:
    """Return the words of a routing key that would be wildcards in a pattern: ``*`` and ``#``.

    AMQP takes such a key; whoever wrote one nearly always meant a pattern.
    """
    return [each for each in routing_key.split(".") if each in ("*", "#")]


def word(text: str) -> str:
    """Make ``text`` usable as one word of a routing key.

    Dots, wildcards, white space, control characters and halves of surrogate pairs become ``_``;
    so does an empty text.
    """
    return _NO_WORD_CHARACTERS.sub("_", text) or "_"


def words(text: str) -> list[str]:
    """Split a routing key or a pattern at the dots; the empty text has no words."""
    return text.split(".") if text else []


@lru_cache(maxsize=_COMPILED_PATTERNS)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Translate ``pattern`` to an expression over the dotted form of a routing key.

    The runs of words between ``#`` are looked for from left to right, each at the first place
    where it fits. Nothing is lost by taking the first place, so each run is an atomic group that
    is never tried again elsewhere, and no pattern however odd can make matching explode.
    """
    runs = _runs(pattern)
    if len(runs) == 1:
        return re.compile(runs[0])
    first, *middle, last = runs
    found = "".join(f"(?>{_ANY_WORDS}{run})" for run in middle if run)
    return re.compile(f"{first}{found}{_ANY_WORDS}{last}")


def _runs(pattern: str) -> list[str]:
    """Translate the words before, between and after each ``#``, every run to one expression."""
    runs = [""]
    for each in words(pattern):
        if each == "#":
            runs.append("")
        else:
            runs[-1] += _ONE_WORD if each == "*" else rf"\.{re.escape(each)}(?![^.])"
    return runs


def _dotted(routing_key: str) -> str:
    """Put a dot before each word, so that no words and one empty word look different."""
    return f".{routing_key}" if routing_key else ""


def _short_string(text: object, what: str, error: type[Exception]) -> str:
    """Return ``text`` if AMQP and the databases can keep it, or raise ``error`` saying why not."""
    if isinstance(text, str) and 0 < len(text) <= MAX_BYTES and json_text.is_plain_text(text):
        return text
    if not isinstance(text, str):
        reason = f"{type(text).__name__}, not text"
    elif not text:
        reason = "empty"
    elif refused := json_text.text_fault(text):
        reason = refused
    elif (size := len(text.encode())) > MAX_BYTES:
        reason = f"{size} bytes long in UTF-8, and AMQP takes no more than {MAX_BYTES}"
    else:
        return text
    raise error(f"The {what} {json_text.shown(text)} is {reason}.")
