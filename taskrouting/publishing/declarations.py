"""Which writes of which model become which events? What ``@publishes`` declared, checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from django.db.models import Field, Model

from taskrouting.exceptions import ConfigurationError, InvalidEventData
from taskrouting.publishing.publisher import Draft

from . import changes, keys
from .changes import Changed, Row


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capture:
    """One ``@publishes``, for a model that is loaded."""

    model: type[Model]

    #: The user's function: instance in, the event's data out.
    data: Callable[[Any], Any]

    #: Routing keys or format strings over the instance; ``None``: no event.
    created: str | None = None
    updated: str | None = None
    deleted: str | None = None

    #: The only fields whose change is an update; ``None``: all.
    fields: Collection[str] | None = None

    #: Asked with the instance and what changed; a false answer means no event.
    when: Callable[[Any, Changed], bool] | None = None

    subject: Callable[[Any], str] | None = None

    @property
    def table(self) -> type[Model]:
        """The model that owns the table: the original of a proxy."""
        return cast("type[Model]", self.model._meta.concrete_model)

    @property
    def place(self) -> str:
        """Where the function is written."""
        return f"{self.data.__module__}.{getattr(self.data, '__qualname__', self.data)}"

    def observed(self, written: Collection[str] | None = None) -> list[Field[Any, Any]]:
        """Return the fields that an update reports, of those ``written`` (``None``: all).

        A generated field is written whenever any other is.
        """
        return [
            field
            for field in self.table._meta.concrete_fields
            if not field.primary_key
            and (self.fields is None or field.name in self.fields)
            and (
                written is None
                or field.generated
                or field.name in written
                or field.attname in written
            )
        ]

    def inserted(self, instance: Model) -> list[Draft]:
        """Draft what is published when ``instance`` has been inserted."""
        return self._drafts(self.created, instance, {})

    def removed(self, instance: Model) -> list[Draft]:
        """Draft what is published when ``instance`` is about to be deleted."""
        return self._drafts(self.deleted, instance, {})

    def modified(
        self, instance: Model, before: Row, fields: Iterable[Field[Any, Any]]
    ) -> list[Draft]:
        """Draft what is published when ``instance`` was ``before``; nothing if none differs."""
        changed = changes.between(before, instance, fields) if self.updated else {}
        return self._drafts(self.updated, instance, changed) if changed else []

    def replaces(self, other: Capture) -> bool:
        """Say whether ``other`` is this same declaration, before its module was reloaded."""
        same = ("model", "created", "updated", "deleted", "fields", "place")
        return (
            self.data is not other.data
            and "<" not in self.place
            and all(getattr(self, name) == getattr(other, name) for name in same)
        )

    def _drafts(self, key: str | None, instance: Model, changed: Changed) -> list[Draft]:
        if key is None or (self.when and not self.when(instance, changed)):
            return []
        data = changes.jsonable(self.data(instance))
        return [
            Draft(
                routing_key=keys.render(key, instance),
                data=self._with(changed, data) if changed else data,
                subject=self.subject_of(instance),
            )
        ]

    def subject_of(self, instance: Model) -> str:
        """Name the instance as its events do: as ``subject=`` says, or ``shop.order/42``."""
        return self.subject(instance) if self.subject else usual_subject(instance, self.model)

    def _with(self, changed: Changed, data: Any) -> dict[str, Any]:
        """Add ``changed`` to the data of an update."""
        if isinstance(data, dict) and "changed" not in data:
            return {**data, "changed": changed}
        found = "a dict with a 'changed' of its own" if isinstance(data, dict) else repr(data)
        raise InvalidEventData(
            f"{self.place} returned {found}. An update adds data['changed'], here of "
            f"{', '.join(changed)}: return a dict without that key."
        )


class Registry:
    """The captures of this process."""

    def __init__(self) -> None:
        self._captures: list[Capture] = []
        self._by_model: dict[type[Model], list[Capture]] = {}

    def __iter__(self) -> Iterator[Capture]:
        return iter(list(self._captures))

    def add(self, capture: Capture) -> None:
        """Keep ``capture``, in place of what it was before its module was reloaded."""
        self._captures = [each for each in self._captures if not capture.replaces(each)]
        self._captures.append(capture)
        self._by_model = {}

    def remove(self, data: Callable[[Any], Any]) -> None:
        """Forget every capture whose function is ``data``; an unknown function is fine."""
        self._captures = [each for each in self._captures if each.data is not data]
        self._by_model = {}

    def of(self, model: type[Model]) -> list[Capture]:
        """Return the captures that a write of ``model`` concerns: its own and its parents'."""
        if model not in self._by_model:
            self._by_model[model] = [c for c in self._captures if issubclass(model, c.model)]
        return self._by_model[model]


#: The registry of this process; ``@publishes`` adds to it.
registry = Registry()


def subjects_of(instance: Model) -> list[str]:
    """Return the subjects under which ``@publishes`` tells of ``instance``; mostly one, or none."""
    return list(dict.fromkeys(each.subject_of(instance) for each in registry.of(type(instance))))


def usual_subject(instance: Model, model: type[Model] | None = None) -> str:
    """Name an instance as events do unless somebody says otherwise: ``shop.order/42``."""
    meta = (model or type(instance))._meta
    key = getattr(instance, meta.pk.attname)
    name = ",".join(map(str, key)) if isinstance(key, tuple) else key
    return f"{meta.label_lower}/{name}"


def checked(capture: Capture) -> Capture:
    """Return ``capture``, its fields by their proper names, if it can work.

    Raises ConfigurationError or InvalidRoutingKey naming what cannot, and the fix.
    """
    _check_data(capture.data)
    _check_model(capture.model)
    routing_keys = (capture.created, capture.updated, capture.deleted)
    label = capture.model._meta.label
    if routing_keys == (None, None, None):
        raise ConfigurationError(
            f"@publishes({label}) publishes nothing: give created=, updated= or deleted=."
        )
    if capture.fields is not None and capture.updated is None:
        raise ConfigurationError(f"@publishes({label}): fields= says nothing without updated=.")
    for key in routing_keys:
        if key is not None:
            keys.validate(key, capture.model)
    return replace(capture, fields=_field_names(capture.fields, capture.model))


def _check_data(data: Callable[[Any], Any]) -> None:
    """Refuse a function that could not answer while a row is being written."""
    if not callable(data) or inspect.iscoroutinefunction(data):
        raise ConfigurationError(
            f"@publishes decorates a plain function of one instance, not {data!r}: it runs inside "
            "the transaction of the write, where nothing can be awaited."
        )


def _check_model(model: type[Model]) -> None:
    """Refuse a model of which Django does not tell when a row is saved."""
    options = model._meta
    if options.abstract:
        fault = "is abstract and has no rows; name the models made from it"
    elif options.swapped:
        fault = f"is swapped out; name {options.swapped!r} (settings.{options.swappable})"
    elif options.auto_created:
        fault = "is made by a ManyToManyField, which saves without a signal; give it a through="
    else:
        return
    raise ConfigurationError(f"@publishes: {options.label} {fault}.")


def _field_names(names: Collection[str] | None, model: type[Model]) -> frozenset[str] | None:
    """Return the names of the fields meant by ``names``, where ``customer_id`` is ``customer``."""
    if names is None:
        return None
    if isinstance(names, str) or not names:
        raise ConfigurationError(f"@publishes: fields={names!r} must be a list of field names.")
    known = {
        alias: field.name
        for field in model._meta.concrete_fields
        if not field.primary_key
        for alias in (field.name, field.attname)
    }
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"@publishes: {model._meta.label} has no field {name!r} that an update could "
                f"change; it has {', '.join(sorted(set(known.values())))}."
            )
    return frozenset(known[name] for name in names)
