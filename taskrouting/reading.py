"""How are settings read? Each value as its field is annotated, and every mistake with its fix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from taskrouting.durations import as_duration
from taskrouting.exceptions import ConfigurationError


class Secret(bytes):
    """Bytes that no log, no error page and no shell shows."""

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__


CHOICES = {
    "outbox_keep": (None, "until_confirmed", "until_received"),
    "unrouted": ("record", "ignore"),
    "unsigned": ("refuse", "accept"),
    "type": ("quorum", "classic"),
}
#: As many bytes as HMAC-SHA256 puts out; a shorter key would be the weaker part.
SHORTEST_KEY = 32

AT_LEAST_ONE = {
    "threads", "prefetch", "max_crashes", "max_message_bytes", "batch_size", "group_size",
    "dead_letters",
}  # fmt: skip

#: Durations of which 0 makes no sense, and why. Those by queue are here by their setting's name.
ABOVE_ZERO = {
    "lease": "a claim has to hold for some time",
    "outbox_age": "it must be above 0 seconds, for every event waits a little",
    "silent_queue": "it must be above 0 seconds, for every queue is silent between two events",
    "cooldown": "it must be above 0 seconds, or the same is told at every look",
}
#: A century; databases count no further back than some thousand years.
LONGEST_COOLDOWN = timedelta(days=36_500)


def read(
    kind: type, user: object, place: str, nested: Mapping[str, type], *, upper: bool = False
) -> dict[str, Any]:
    """Check the keys of ``user`` against the fields of ``kind`` and read each value.

    ``nested`` says which keys hold settings of their own, one or, if the field is a mapping, one
    by name. Raises ConfigurationError naming the key, the value and the fix.
    """
    if not isinstance(user, Mapping):
        raise ConfigurationError(f"{place} is {user!r}; it must be a dict.")
    known = {f.name.upper() if upper else f.name: str(f.type) for f in fields(kind)}
    for key in user:
        if key not in known:
            raise ConfigurationError(f"{place} has an unknown key {key!r}.{_meant(key, known)}")
    return {
        key.lower(): _value(key.lower(), value, known[key], f"{place}[{key!r}]", nested)
        for key, value in user.items()
    }


def _meant(key: object, known: Mapping[str, str]) -> str:
    """Suggest the known key nearest to ``key``, or list them all."""
    spelt = {name.casefold(): name for name in known}
    near = get_close_matches(str(key).casefold(), spelt, n=1)
    if near:
        return f" Did you mean {spelt[near[0]]!r}?"
    return f" Known keys: {', '.join(sorted(known))}."


def _value(name: str, value: Any, annotation: str, place: str, nested: Mapping[str, type]) -> Any:
    """Read one value as its field's annotation wants it."""
    if name in CHOICES and value not in CHOICES[name]:
        allowed = " or ".join(repr(choice) for choice in CHOICES[name])
        raise ConfigurationError(f"{place} is {value!r}; it must be {allowed}.")
    if value is None and annotation.endswith("| None"):
        return None
    if (kind := nested.get(name)) is not None:
        return _nested(kind, value, annotation, place)
    return READERS[annotation.removesuffix(" | None")](name, value, place)


def _nested(kind: type, value: object, annotation: str, place: str) -> Any:
    """Read settings of their own: one, or one for each name."""
    if not annotation.startswith("Mapping"):
        return kind(**read(kind, value, place, {}))
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{place} is {value!r}; it must be a dict of queue names.")
    return {
        _text("name", name, f"A key of {place}"): kind(
            **read(kind, tuning, f"{place}[{name!r}]", {})
        )
        for name, tuning in value.items()
    }


def _text(name: str, value: object, place: str) -> str:
    if not isinstance(value, str) or (not value and name != "source"):
        raise ConfigurationError(f"{place} is {value!r}; it must be a string that is not empty.")
    return value


def _number(name: str, value: object, place: str) -> int:
    smallest = 1 if name in AT_LEAST_ONE else 0
    if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
        raise ConfigurationError(f"{place} is {value!r}; it must be a whole number >= {smallest}.")
    return value


def _texts(name: str, value: object, place: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        raise ConfigurationError(f"{place} is {value!r}; it must be a list of strings.")
    return tuple(_text(name, item, place) for item in value)


def _keys(name: str, value: object, place: str) -> tuple[Secret, ...]:
    """Read keys, of which no message tells anything."""
    if not isinstance(value, list | tuple):
        raise ConfigurationError(f"{place} is a {type(value).__name__}; it must be a list of keys.")
    # A list, for the frame of a generator forgets who called it, and that its values are sensitive.
    return tuple([_key(key, f"{place}[{number}]") for number, key in enumerate(value)])


def _key(value: object, place: str) -> Secret:
    if not isinstance(value, str | bytes):
        raise ConfigurationError(f"{place} is a {type(value).__name__}; a key is text or bytes.")
    key = Secret(value.encode() if isinstance(value, str) else value)
    if len(key) < SHORTEST_KEY:
        raise ConfigurationError(
            f"{place} has {len(key)} bytes; a key needs {SHORTEST_KEY}. Make one with: python -c "
            "'import secrets; print(secrets.token_urlsafe(48))'"
        )
    return key


def _mapping(name: str, value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{place} is {value!r}; it must be a dict.")
    return dict(value)


def _duration(name: str, value: object, place: str) -> timedelta:
    duration = as_duration(value, place)
    if name in ABOVE_ZERO and not duration:
        raise ConfigurationError(f"{place} is {value!r}; {ABOVE_ZERO[name]}.")
    if name == "cooldown" and duration > LONGEST_COOLDOWN:
        raise ConfigurationError(
            f"{place} is {value!r}; give at most {LONGEST_COOLDOWN.days} days."
        )
    return duration


def _durations(name: str, value: object, place: str) -> dict[str, timedelta]:
    """Read a duration for each name."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{place} is {value!r}; it must be a dict of durations by queue.")
    return {
        _text(name, each, f"A key of {place}"): _duration(name, given, f"{place}[{each!r}]")
        for each, given in value.items()
    }


def _share(name: str, value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ConfigurationError(f"{place} is {value!r}; it must be a share: above 0, at most 1.")
    return float(value)


def _flag(name: str, value: object, place: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{place} is {value!r}; it must be True or False.")
    return value


def _receivers(name: str, value: object, place: str) -> str | tuple[str, ...]:
    """Read a dotted path, or mail addresses."""
    if not isinstance(value, str):
        addresses = _texts(name, value, place)
        if wrong := [each for each in addresses if "@" not in each]:
            raise ConfigurationError(f"{place} has {wrong[0]!r}, which is no mail address.")
        return addresses
    if "." not in value or "@" in value:
        raise ConfigurationError(
            f"{place} is {value!r}; give a dotted path to a function, or a list of mail addresses."
        )
    return value


READERS = {
    "bool": _flag,
    "float": _share,
    "Mapping[str, timedelta]": _durations,
    "str | tuple[str, ...]": _receivers,
    "str": _text,
    "int": _number,
    "tuple[str, ...]": _texts,
    "tuple[Secret, ...]": _keys,
    "Mapping[str, Any]": _mapping,
    "timedelta": _duration,
}
