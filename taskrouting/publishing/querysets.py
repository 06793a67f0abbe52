"""How do ``bulk_create()`` and ``update()``, which send no signals, publish events?

::

    class Video(models.Model):
        objects = EventQuerySet.as_manager()

Everything built on them does too: ``bulk_update()``, the asynchronous twins, related sets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from django.db import NotSupportedError, connections, transaction
from django.db.models import Model, QuerySet

from . import capture, changes
from .declarations import Capture, registry

M = TypeVar("M", bound=Model)


class EventQuerySet(QuerySet[M]):
    """A queryset whose bulk writes publish what ``@publishes`` declares, one event per row.

    To write millions of rows without events, use a plain ``QuerySet(Video)``.
    """

    def bulk_create(
        self,
        objs: Iterable[M],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[M]:
        """Insert ``objs`` and publish ``created`` for each, in one transaction.

        Raises NotSupportedError for ``ignore_conflicts`` and ``update_conflicts``: no database
        says which rows it inserted, so no event could be true.
        """
        captures = registry.of(self.model)
        self._refuse_conflicts(captures, ignore_conflicts, update_conflicts)
        self._for_write = True
        with transaction.atomic(using=self.db, savepoint=False):
            made = super().bulk_create(
                objs,
                batch_size=batch_size,
                ignore_conflicts=ignore_conflicts,
                update_conflicts=update_conflicts,
                update_fields=update_fields,
                unique_fields=unique_fields,
            )
            captures = [c for c in captures if c.created]
            if captures:
                changes.read_back(made, self.db)
                drafts = [draft for each in made for c in captures for draft in c.inserted(each)]
                capture.publish_all(drafts, self.db)
        return made

    bulk_create.alters_data = True  # type: ignore[attr-defined]  # for Django's templates

    def update(self, **kwargs: Any) -> int:
        """Update the rows and publish ``updated`` for each that really changed.

        Old values are read under a lock, new ones read back, all in one transaction.
        Raises NotSupportedError for a new primary key: it would be another row.
        """
        captures = [c for c in registry.of(self.model) if c.updated]
        if captures:
            self._refuse_keys(kwargs)
        fields = {field.attname: field for c in captures for field in c.observed(kwargs)}
        if not fields or self.query.combinator or self.query.is_sliced:
            return super().update(**kwargs)  # which refuses the latter two in its own words
        self._for_write = True
        with transaction.atomic(using=self.db, savepoint=False):
            rows = changes.table(self.model, self.db).filter(pk__in=self.values("pk"))
            # In one order, or two updates of the same rows could deadlock.
            before = changes.locked_rows(rows.order_by("pk"), list(fields.values()))
            count = super(EventQuerySet, self._only(list(before))).update(**kwargs)
            for keys in changes.chunks(list(before)):
                self._publish_modified(captures, {key: before[key] for key in keys}, kwargs)
        self._result_cache = None
        return count

    update.alters_data = True  # type: ignore[attr-defined]  # for Django's templates

    def _only(self, keys: list[Any]) -> EventQuerySet[M]:
        """Narrow to the rows that were read, or a row that comes to match now would go unnoticed.

        Where rows cannot be locked (SQLite), nobody else writes between reading and writing.
        """
        if connections[self.db].features.has_select_for_update:
            return self.filter(pk__in=keys)
        return self.all()

    def _publish_modified(
        self, captures: list[Capture], before: dict[Any, changes.Row], written: Collection[str]
    ) -> None:
        """Publish, with one INSERT, the rows of ``before`` that are different now."""
        rows = changes.table(self.model, self.db).filter(pk__in=list(before)).order_by("pk")
        drafts = [
            draft
            for instance in rows
            for each in captures
            for draft in each.modified(instance, before[instance.pk], each.observed(written))
        ]
        capture.publish_all(drafts, self.db)

    def _refuse_conflicts(self, captures: list[Capture], ignore: bool, update: bool) -> None:
        if (ignore and any(c.created for c in captures)) or (
            update and any(c.created or c.updated for c in captures)
        ):
            option = "ignore_conflicts" if ignore else "update_conflicts"
            raise NotSupportedError(
                f"bulk_create({option}=True) of {self.model._meta.label} cannot publish its "
                "events: the database does not say which rows it inserted. Save the rows one by "
                "one, or use QuerySet(model) and publish_many() what you know."
            )

    def _refuse_keys(self, names: Collection[str]) -> None:
        own = [f for f in self.model._meta.concrete_fields if f.primary_key]
        keys = {"pk", *(f.name for f in own), *(f.attname for f in own)}
        if changed := keys.intersection(names):
            raise NotSupportedError(
                f"update({changed.pop()}=...) of {self.model._meta.label} cannot publish its "
                "events: a new primary key makes another row. Use QuerySet(model)."
            )
