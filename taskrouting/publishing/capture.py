"""How does a model's save become an event? ``@publishes``, and what hears Django's writes.

::

    @publishes(Video, created="video.upload", updated="video.status.{status}", fields=["status"])
    def video_data(video):
        return {"title": video.title}

The data may hold all that ``DjangoJSONEncoder`` knows: dates, decimals, UUIDs. An update adds
``changed`` to it, for every field that differs::

    {"title": "Cat", "changed": {"status": {"old": "new", "new": "ready"}}}

A field named in ``SENSITIVE`` is ``{"old": None, "new": None, "hidden": True}``. A proxy's rows
are its model's; of a child by inheritance a capture of the parent hears the parent's part.

``save_base`` of the model runs in a transaction, so that row and event commit together in
autocommit mode too, where Django sends ``post_save`` after its own commit. Not captured, because
Django tells nobody: many-to-many changes, raw SQL, ``on_delete=SET_NULL`` and the database's own
cascades; nor ``update()`` and ``bulk_create()``, unless on an ``EventQuerySet``. Fixtures are not
captured on purpose: what they load has happened before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.apps import apps
from django.db import router, transaction
from django.db.models import Model
from django.db.models.signals import class_prepared, post_save, pre_delete
from django.dispatch import receiver

from taskrouting.exceptions import ConfigurationError

from . import changes, declarations, publisher
from .changes import Changed, Row
from .declarations import Capture, registry
from .publisher import Draft

D = TypeVar("D", bound=Callable[[Any], Any])

#: Where an instance keeps its ``_Save`` while it is being saved.
_SAVE = "_taskrouting_save"

_UID = "taskrouting.capture"


def publishes(
    model: type[Model] | str,
    *,
    created: str | None = None,
    updated: str | None = None,
    deleted: str | None = None,
    fields: Collection[str] | None = None,
    when: Callable[[Any, Changed], bool] | None = None,
    subject: Callable[[Any], str] | None = None,
) -> Callable[[D], D]:
    """Publish an event, with what the decorated function returns, when a ``model`` row is written.

    ``model`` is a class or ``"app.Model"``. ``created``, ``updated`` and ``deleted`` are routing
    keys or format strings over the instance, whose every value becomes one word. An update is a
    change of any field, or of ``fields``; its data must be a dict, and gets ``changed`` added. A
    deleted instance is still whole, with its relations, when the function sees it.
    ``when(instance, changed)`` may say no; ``subject(instance)`` replaces ``"shop.order/42"``.

    The event joins the transaction of the write, on its database; an event that cannot be
    published (InvalidEventData, InvalidRoutingKey, ConfigurationError) fails the write. Raises
    ConfigurationError or InvalidRoutingKey where it is declared.
    """
    _refuse_bare(model)
    capture = functools.partial(
        Capture,
        created=created,
        updated=updated,
        deleted=deleted,
        fields=fields,
        when=when,
        subject=subject,
    )

    def declare(data: D) -> D:
        _when_loaded(model, lambda found: _register(capture(model=found, data=data)))
        return data

    return declare


def _refuse_bare(model: object) -> None:
    """Refuse ``@publishes`` without parentheses, which hands us the function as its model."""
    if callable(model) and not isinstance(model, type):
        raise ConfigurationError(
            f"@publishes got {model!r}; name a model class or 'app.Model', as in "
            '@publishes("shop.Order", created="order.created").'
        )


def _register(capture: Capture) -> None:
    """Capture from now on."""
    registry.add(declarations.checked(capture))
    _watch(capture.model)


def _when_loaded(model: type[Model] | str, register: Callable[[type[Model]], None]) -> None:
    """Call ``register`` with the class; now if it is there, else when Django has loaded it.

    A name that never comes is Django's own system check ``models.E022``.
    """
    if isinstance(model, type) and issubclass(model, Model):
        register(model)
    elif not isinstance(model, str) or model.count(".") != 1:
        raise ConfigurationError(f"@publishes({model!r}): name a model class or 'app.Model'.")
    elif not apps.models_ready:
        label, name = model.split(".")
        apps.lazy_model_operation(register, (label, name.lower()))
    else:
        try:
            found = apps.get_model(model)
        except LookupError as error:
            raise ConfigurationError(f"@publishes({model!r}): {error}") from error
        register(found)


def _watch(model: type[Model]) -> None:
    """Wrap ``save_base`` of the model and its subclasses and hear their signals; twice is once.

    Senders are named one by one: a receiver of everybody's ``pre_delete`` would take Django's
    fast deletes from every model of the project.
    """
    if not getattr(model.save_base, "captures", False):
        model.save_base = _capturing(model.save_base)  # type: ignore[method-assign]
    post_save.connect(_note_saved, sender=model, dispatch_uid=_UID)
    if any(capture.deleted for capture in registry.of(model)):
        pre_delete.connect(_publish_removed, sender=model, dispatch_uid=_UID)
    for subclass in model.__subclasses__():
        _watch(subclass)


@receiver(class_prepared, dispatch_uid=_UID)
def _watch_new(*, sender: type[Model], **kwargs: Any) -> None:
    """Watch a subclass that is written after its parent was registered."""
    if registry.of(sender):
        _watch(sender)


@dataclass(slots=True)
class _Save:
    """A save that is under way."""

    instance: Model
    using: str
    written: Collection[str] | None

    #: The row as it was, per table that somebody observes; missing where there was none.
    before: dict[type[Model], Row] = field(default_factory=dict)

    #: Whether a row was inserted; ``None`` until ``post_save`` says so.
    created: bool | None = None


def _capturing(original: Callable[..., None]) -> Callable[..., None]:
    """Wrap a model's ``save_base``."""

    @functools.wraps(original)
    def save_base(
        self: Model,
        raw: bool = False,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Collection[str] | None = None,
        **further: Any,
    ) -> None:
        alias = using or router.db_for_write(type(self), instance=self)
        write = functools.partial(
            original,
            self,
            raw=raw,
            force_insert=force_insert,
            force_update=force_update,
            using=alias,
            update_fields=update_fields,
            **further,
        )
        outer: _Save | None = self.__dict__.get(_SAVE)
        # An overriding save_base that calls up to its parent's is one save, not two.
        if raw or (outer is not None and outer.created is None):
            write()
        else:
            _save(_Save(self, alias, update_fields), write, bool(force_insert))

    save_base.captures = True  # type: ignore[attr-defined]
    return save_base


def _save(save: _Save, write: Callable[[], None], force_insert: bool) -> None:
    """Write the row, and publish in the same transaction what the write was.

    No savepoint: as in Django itself, a save that fails inside a transaction spoils it.
    """
    instance = save.instance
    outer = instance.__dict__.get(_SAVE)
    with transaction.atomic(using=save.using, savepoint=False):
        _look_before(save, force_insert)
        instance.__dict__[_SAVE] = save
        try:
            write()
        finally:
            instance.__dict__[_SAVE] = outer
            if outer is None:
                del instance.__dict__[_SAVE]
        _publish_saved(save)


def _look_before(save: _Save, force_insert: bool) -> None:
    """Read the rows that may be there already: one SELECT, where an update is listened to.

    One more for a parent by inheritance that is captured beside its child. A child that is new
    may join a parent row that is not: that is no insert of the parent.
    """
    captures = registry.of(type(save.instance))
    own = save.instance._meta.concrete_model
    for table in {capture.table for capture in captures}:
        observers = [c for c in captures if c.table is table and c.updated]
        fields = {f.attname: f for c in observers for f in c.observed(save.written)}
        joins = save.instance._state.adding and table is not own
        key = _key(save.instance, table, force_insert) if fields or joins else None
        if key is not None:
            rows = changes.table(table, save.using).filter(pk=key)
            for row in changes.locked_rows(rows, list(fields.values())).values():
                save.before[table] = row


def _key(instance: Model, table: type[Model], force_insert: bool) -> Any:
    """Return the key of the row of ``table`` that a save would update; ``None``: it inserts."""
    own: Any = instance._meta.concrete_model
    if table is own:
        key = None if force_insert else instance.pk
    else:
        key = getattr(instance, own._meta.get_ancestor_link(table).attname)
    pk = table._meta.pk
    made = instance._state.adding and (pk.has_default() or pk.has_db_default())
    unset = made or (isinstance(key, tuple) and None in key)
    return None if unset else key


def _note_saved(*, instance: Model, created: bool, **kwargs: Any) -> None:
    """Hear from Django whether the save inserted; nothing else knows."""
    save: _Save | None = instance.__dict__.get(_SAVE)
    if save is not None:
        save.created = bool(save.created or created)


def _publish_saved(save: _Save) -> None:
    """Publish what a finished save was, to everyone who declared it."""
    instance, captures = save.instance, registry.of(type(save.instance))
    if save.created is None:
        return  # somebody muted Django's signals, which is to say: no events
    fields = {capture: capture.observed(save.written) for capture in captures}
    computed = {f for each in fields.values() for f in each if f.generated and not save.created}
    changes.read_back([instance], save.using, computed=computed)
    drafts: list[Draft] = []
    for capture in captures:
        if save.created and capture.table not in save.before:
            drafts += capture.inserted(instance)
        else:
            before = save.before.get(capture.table, {})
            drafts += capture.modified(instance, before, fields[capture])
    publish_all(drafts, save.using)


def _publish_removed(*, sender: type[Model], instance: Model, using: str, **kwargs: Any) -> None:
    """Publish a deletion before it happens, while the instance still has its relations.

    It happens in the same transaction. Django sends this for a row that is gone already too, and
    of two that delete one row both hear it: so the row is locked, and looked for, first. A child
    by inheritance and its parent are each told by their own signal (``keep_parents``).
    """
    table = sender._meta.concrete_model
    captures = [c for c in registry.of(sender) if c.deleted and c.table is table]
    if captures and changes.locked_rows(changes.table(sender, using).filter(pk=instance.pk), []):
        drafts = [draft for capture in captures for draft in capture.removed(instance)]
        publish_all(drafts, using)


def publish_all(drafts: list[Draft], using: str) -> None:
    """Publish ``drafts`` with one INSERT; a database may do without an outbox if there are none."""
    if drafts:
        publisher.publish_many(drafts, using=using)
