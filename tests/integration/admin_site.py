"""What do the tests of the admin look at? A row of every table, and people with permissions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.urls import reverse

from taskrouting.models import (
    AuditLog,
    Binding,
    DeadLetter,
    Delivery,
    Message,
    Sweep,
    WorkerProcess,
)

TABLES = (AuditLog, Binding, DeadLetter, Delivery, Message, WorkerProcess)

EVENT = {"event_id": "e-1", "source": "tests", "routing_key": "video.upload"}

TRACEBACK = "Traceback (most recent call last):\n  File codec.py\nValueError: no codec"


@dataclass(frozen=True)
class Rows:
    """One row of every table, all of one event."""

    entry: AuditLog
    delivery: Delivery
    letter: DeadLetter
    message: Message
    binding: Binding
    worker: WorkerProcess
    sweep: Sweep

    def __iter__(self):
        return iter(vars(self).values())


def entry(using: str = "default", **values: Any) -> AuditLog:
    """An audit log entry."""
    given = {
        **EVENT,
        "subject": "videos/1",
        "actor": "auth.user:7 (ana)",
        "correlation_id": "c-1",
        "data": {"title": "Bunny"},
        "occurred_at": datetime.now(UTC),
        **values,
    }
    return AuditLog.objects.using(using).create(**given)


def delivery(**values: Any) -> Delivery:
    """A delivery that died, with what went wrong."""
    error = {
        "attempt": 1,
        "started": "2026-11-20T12:00:00+00:00",
        "duration": 1.5,
        "worker": "w-1",
        "exception": "builtins.ValueError",
        "message": "no codec",
        "traceback": TRACEBACK,
    }
    given = {
        **EVENT,
        "subscription": "transcoder",
        "queue": "video_queue",
        "state": Delivery.State.DEAD,
        "attempts": 1,
        "errors": [error],
        **values,
    }
    return Delivery.objects.create(**given)


def letter(**values: Any) -> DeadLetter:
    """A dead letter of a delivery that died."""
    given = {
        **EVENT,
        "reason": DeadLetter.Reason.EXHAUSTED,
        "queue": "video_queue",
        "subscription": "transcoder",
        "body": b'{"id": "e-1", "title": "Bunny"}',
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "error": TRACEBACK,
        **values,
    }
    return DeadLetter.objects.create(**given)


def message(**values: Any) -> Message:
    """A message that waits."""
    given = {**EVENT, "queue": "video_queue", "body": b"{}", "token": uuid4(), **values}
    return Message.objects.create(**given)


def one_of_each() -> Rows:
    """A row of every table."""
    dead = delivery()
    return Rows(
        entry=entry(),
        delivery=dead,
        letter=letter(delivery=dead.pk),
        message=message(),
        binding=Binding.objects.create(exchange="events", pattern="video.#", queue="video_queue"),
        worker=WorkerProcess.objects.create(
            name="w-1", host="h", pid=7, version="1", queues=["video_queue"], threads=4
        ),
        sweep=Sweep.objects.create(deed="redrive", upto=0, matched=0, rate=1),
    )


def staff(name: str, *permissions: str) -> User:
    """Somebody who may log in to the admin, and has these permissions of ours."""
    user = User.objects.create_user(name, password="secret", is_staff=True)
    given = Permission.objects.filter(
        content_type__app_label="taskrouting", codename__in=permissions
    )
    assert len(given) == len(permissions)
    user.user_permissions.set(given)
    return user


def views() -> list[str]:
    """The permissions to view every table."""
    return [f"view_{table._meta.model_name}" for table in TABLES]


def page(model: type[Model] | Model, name: str = "changelist") -> str:
    """The address of an admin page: of a table, or of a row."""
    arguments = [model.pk] if isinstance(model, Model) else []
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def story(event_id: str, source: str = "") -> str:
    """The address of the page that tells what happened to an event."""
    address = reverse("admin:taskrouting_event_story", args=[quote(event_id)])
    return f"{address}?{urlencode({'source': source})}" if source else address


def act(client: Any, action: str, *rows: Model, **more: str) -> Any:
    """Take an action on rows of one table, as the form of the list page does."""
    ticked = [str(row.pk) for row in rows]
    posted = {"action": action, "_selected_action": ticked, **more}
    return client.post(page(type(rows[0])), posted, follow=True)


def told(response: Any) -> list[str]:
    """The messages that a page shows."""
    return [str(message) for message in response.context["messages"]]


class Forbidden(HTMLParser):
    """What a strict Content-Security-Policy would not let a browser run or apply."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note inline scripts, inline styles and event attributes."""
        given = dict(attrs)
        inline = tag == "script" and "src" not in given
        if tag == "style" or (inline and given.get("type") != "application/json"):
            self.found.append(tag)
        self.found += [f"{tag} {name}" for name in given if name.startswith(("on", "style"))]
