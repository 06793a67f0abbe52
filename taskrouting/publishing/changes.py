"""Which fields did a write change, from what to what?

Old values come from one SELECT before the write, which takes the lock that the write is about to
take anyway; so what two writers report about one row is a chain, never two branches. New values
are the instance's, as the database keeps them; what only the database knows (``F()`` and other
expressions, generated fields) is read back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import DecimalField, Field, Model, QuerySet
from django.utils import timezone

from taskrouting import conf

#: One row: attribute name (``customer_id``) -> value.
Row = dict[str, Any]

#: What an event says: field name -> its old and new value.
Changed = dict[str, dict[str, Any]]

#: Primary keys in one SELECT; Django lets SQLite take 999 parameters.
CHUNK = 500

_ENCODER = DjangoJSONEncoder()


def table(model: type[Model], using: str) -> QuerySet[Any]:
    """Every row there is, whatever the model's own queryset hides or joins."""
    return QuerySet(model, using=using)


def locked_rows(rows: QuerySet[Any], fields: Sequence[Field[Any, Any]]) -> dict[Any, Row]:
    """Read ``fields`` of ``rows`` by primary key, and keep them from changing until the commit."""
    return _by_key(rows.select_for_update(no_key=True), fields)


def between(before: Row, instance: Model, fields: Iterable[Field[Any, Any]]) -> Changed:
    """Say which of ``fields`` differ between the row that was and the instance that is.

    Values are as Django's JSON serialisation has them. A field named in ``SENSITIVE`` is named
    without its values: ``{"old": None, "new": None, "hidden": True}``.
    """
    changed: Changed = {}
    for field in fields:
        if field.attname not in instance.__dict__:
            continue  # deferred, so it was not written
        old = _stored(field, before.get(field.attname))
        new = _stored(field, field.value_from_object(instance))
        if not _same(field, old, new):
            changed[field.name] = _difference(field, old, new)
    return changed


def read_back(
    instances: Sequence[Model], using: str, *, computed: Iterable[Field[Any, Any]] = ()
) -> None:
    """Put what the database made of expressions (and of ``computed`` fields) on the instances.

    Without either, nothing is read.
    """
    unknown = {field for each in instances for field in _expressions(each)}.union(computed)
    if not unknown:
        return
    for chunk in chunks(instances):
        model = type(chunk[0])
        rows = table(model, using).filter(pk__in=[each.pk for each in chunk])
        found = _by_key(rows, list(unknown))
        for each in chunk:
            for name, value in found[model._meta.pk.to_python(each.pk)].items():
                setattr(each, name, value)


def jsonable(value: Any) -> Any:
    """Write dates, decimals, UUIDs, durations and lazy text as Django's JSON encoder does.

    Whatever else is no JSON value stays, for ``publish()`` to refuse with its place.
    """
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    try:
        return _ENCODER.default(value)
    except TypeError:
        return value


def chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut ``items`` into pieces that one statement can name."""
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))


def _by_key(rows: QuerySet[Any], fields: Sequence[Field[Any, Any]]) -> dict[Any, Row]:
    names = [field.attname for field in fields]
    return {
        key: dict(zip(names, values, strict=True))
        for key, *values in rows.values_list("pk", *names)
    }


def _expressions(instance: Model) -> list[Field[Any, Any]]:
    """Return the fields that hold an expression, whose value only the database knows."""
    return [
        field
        for field in instance._meta.concrete_fields
        if hasattr(instance.__dict__.get(field.attname), "resolve_expression")
    ]


def _stored(field: Field[Any, Any], value: Any) -> Any:
    """Return ``value`` as the database keeps it and gives it back, such as ``"5"`` as ``5``."""
    value = field.to_python(value)
    if isinstance(field, DecimalField) and isinstance(value, Decimal) and value.is_finite():
        return round(value, field.decimal_places)
    if isinstance(value, datetime) and timezone.is_naive(value) and _aware():
        return timezone.make_aware(value, timezone.get_default_timezone())
    return value


def _aware() -> bool:
    """Say whether this installation keeps aware times (``USE_TZ``)."""
    return timezone.is_aware(timezone.now())


def _same(field: Field[Any, Any], old: Any, new: Any) -> bool:
    """Compare as Python does, and as JSON does where Python is too strict or too lax.

    Too strict: a file and its name. Too lax: ``[1] == [True]``, which JSON tells apart.
    """
    if old == new and type(old) is type(new) and not isinstance(new, dict | list):
        return True
    return _text(_written(field, old)) == _text(_written(field, new))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _difference(field: Field[Any, Any], old: Any, new: Any) -> dict[str, Any]:
    """Say what changed, unless the settings call the field sensitive."""
    if {field.name, field.attname}.intersection(conf.current().sensitive):
        return {"old": None, "new": None, "hidden": True}
    return {"old": _written(field, old), "new": _written(field, new)}


def _written(field: Field[Any, Any], value: Any) -> Any:
    """Write one value as Django's serialisation does, JSON first and the field's own text last."""
    encoder = getattr(field, "encoder", None) or DjangoJSONEncoder
    try:
        return json.loads(json.dumps(value, cls=encoder))
    except TypeError:
        return field.value_to_string(SimpleNamespace(**{field.attname: value}))  # type: ignore[arg-type]  # it reads one attribute
