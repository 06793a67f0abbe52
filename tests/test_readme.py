"""Does the code that newcomers paste work? README and tutorial, in a project of their own.

The project is made by ``django-admin startproject``, in a virtual environment that has the built
wheel and what it needs, and nothing else.
"""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import pages
from tests.docs.walkthrough import PATIENCE, Walkthrough, build_wheel, make_venv
from tests.waiting import wait_until

TUTORIAL = pages.DOCS / "tutorial.md"
TO_RABBITMQ = "10. Move to RabbitMQ"
RABBITMQ = "amqp://guest:guest@localhost:5672//"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; one per session."""
    folder = tmp_path_factory.mktemp("installed")
    return make_venv(folder / "venv", str(build_wheel(folder)))


@pytest.fixture
def reader(installed: Path, tmp_path: Path) -> Iterator[Walkthrough]:
    """Somebody who does what a page says, in an empty folder."""
    reader = Walkthrough(installed, tmp_path)
    try:
        yield reader
    finally:
        reader.stop()


@pytest.fixture(scope="module")
def graduate(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walkthrough]:
    """Somebody who has gone through the tutorial, but for its last step, to RabbitMQ."""
    reader = Walkthrough(installed, tmp_path_factory.mktemp("tutorial"))
    try:
        before = TUTORIAL.read_text(encoding="utf-8").partition(f"## {TO_RABBITMQ}")[0]
        reader.follow(pages.blocks(before))
        yield reader
    finally:
        reader.stop()


def test_the_environment_has_the_wheel_and_what_it_needs(installed: Path) -> None:
    """Nothing that happens to lie about helps the reader: Django, Kombu and their own needs."""
    listed = subprocess.run(
        [str(installed / "bin" / "pip"), "list", "--format=freeze", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.partition("==")[0].lower() for line in listed.stdout.split()}

    assert {"django", "django-taskrouting", "kombu"} <= names
    assert not names & {"pytest", "psycopg", "redis", "celery"}


def test_the_readme_publishes_and_handles_an_event(reader: Walkthrough) -> None:
    """Some pasted lines turn a new user into an event that is handled once and on record once."""
    reader.run("django-admin startproject mysite .")

    reader.follow(pages.blocks(pages.section(pages.README, "In your own project")))

    wait_until_settled(reader, events=1)
    assert recorded(reader) == "[('user.created', 1)]"
    assert delivered(reader) == "[('members.subscribers.join_newcomers', 'handled', 1)]"
    assert shown(reader, "auth.Group", "name", "user__username") == "[('newcomers', 'ana')]"


def test_the_tutorial_does_what_it_says(graduate: Walkthrough) -> None:
    """Every file, command and printed line works, in its order, and in the end nothing is open."""
    wait_until_settled(graduate, events=6)

    assert "rejected" in shown(graduate, "taskrouting.DeadLetter", "reason")
    assert ", 2)" not in recorded(graduate)
    with urllib.request.urlopen(f"http://127.0.0.1:{graduate.port}/admin/login/") as page:
        assert page.status == 200


def test_the_tutorial_moves_to_rabbitmq(graduate: Walkthrough, empty_rabbitmq_url: str) -> None:
    """One URL is changed, and the same code runs on the other broker."""
    text = pages.section(TUTORIAL, TO_RABBITMQ)
    assert text.count(RABBITMQ) == 1

    graduate.follow(pages.blocks(text.replace(RABBITMQ, empty_rabbitmq_url)))

    assert "'Bunny 3', 'ready'" in shown(graduate, "videos.Video", "title", "state")


def wait_until_settled(reader: Walkthrough, *, events: int) -> None:
    """Wait until at least so many events are on record and no delivery has anything to do."""
    code = (
        "from taskrouting.models import AuditLog, Delivery; "
        'open = Delivery.objects.exclude(state="handled").count(); '
        "print(AuditLog.objects.count() if not open else -open)"
    )
    wait_until(
        lambda: int(reader.shell(code)) >= events,
        timeout=PATIENCE,
        message=f"{events} events on record, all handled",
    )


def recorded(reader: Walkthrough) -> str:
    """Which routing keys the audit log has, with the number of rows of each event."""
    return reader.shell(
        "from django.db.models import Count; from taskrouting.models import AuditLog; "
        'rows = AuditLog.objects.values_list("routing_key", "event_id"); '
        'print([(row[0], row[2]) for row in rows.annotate(rows=Count("pk")).order_by("event_id")])'
    )


def delivered(reader: Walkthrough) -> str:
    """Which subscriptions the ledger has, with state and attempts."""
    return shown(reader, "taskrouting.Delivery", "subscription", "state", "attempts")


def shown(reader: Walkthrough, model: str, *fields: str) -> str:
    """The rows of one of the reader's tables."""
    names = ", ".join(f'"{field}"' for field in fields)
    return reader.shell(
        "from django.apps import apps; "
        f'print(list(apps.get_model("{model}").objects.order_by("pk").values_list({names})))'
    )
