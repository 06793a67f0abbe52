"""Which routing key does an instance give? Format strings such as ``video.status.{status}``.

The fields of the format are attributes of the instance, and each value becomes one word of the
key, whatever it holds: a dot in a status never adds a word that a binding would count.
"""

from __future__ import annotations

import inspect
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Model

from taskrouting import topics
from taskrouting.exceptions import ConfigurationError, InvalidRoutingKey


def validate(key: object, model: type[Model]) -> str:
    """Return ``key`` if instances of ``model`` can be published under it.

    Raises ConfigurationError naming a field that the model has not, InvalidRoutingKey when the
    literal parts could not be published whatever the values are.
    """
    if not isinstance(key, str):
        return topics.validate_routing_key(key)
    sample = ""
    for literal, field, spec, _ in _parsed(key):
        sample += literal
        if field is not None:
            _check(field, spec or "", key, model)
            sample += "_"
    topics.validate_routing_key(sample)
    return key


def render(key: str, instance: Model) -> str:
    """Fill ``key`` with the values of ``instance``.

    Raises InvalidRoutingKey where there is nothing to fill in: ``{customer.region}`` without a
    customer. A property of the model may say what to write instead.
    """
    try:
        return _WORDS.vformat(key, (instance,), {})
    except (AttributeError, LookupError) as error:
        raise InvalidRoutingKey(
            f"The routing key {key!r} cannot be filled from {instance!r}: {error}"
        ) from error


class _Words(string.Formatter):
    """Formats over the attributes of the one positional argument, each value as one word."""

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return getattr(args[0], str(key))

    def format_field(self, value: Any, format_spec: str) -> str:
        return topics.word(super().format_field(value, format_spec))


_WORDS = _Words()


def _parsed(key: str) -> list[tuple[str, str | None, str | None, str | None]]:
    """Take the format string apart."""
    try:
        return list(_WORDS.parse(key))
    except ValueError as error:
        raise ConfigurationError(
            f"The routing key {key!r} is no format string: {error}. Write {{{{ for a brace."
        ) from error


def _check(field: str, spec: str, key: str, model: type[Model]) -> None:
    """Refuse a field that the model has not, or whose value would be no value."""
    name = re.split(r"[.\[]", field)[0]
    if not name.isidentifier() or not hasattr(model, name):
        raise ConfigurationError(
            f"The routing key {key!r} names {field!r}, but {model._meta.label} has no attribute "
            f"{name!r}. Name a field or a property."
        )
    if callable(inspect.getattr_static(model, name)) or "{" in spec:
        raise ConfigurationError(
            f"The routing key {key!r}: {field!r} is no field or property of {model._meta.label}, "
            "or its format nests another. Add a property to the model that says the word."
        )
