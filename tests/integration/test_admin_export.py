"""Is what is exported what was listed, harmless, recorded, and never all in memory?"""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime

import pytest
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.db import connection
from django.test import AsyncRequestFactory
from django.test.utils import CaptureQueriesContext

from taskrouting.admin import exporting
from taskrouting.models import AuditLog, DeadLetter, Message
from tests.integration import admin_site
from tests.integration.admin_site import page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]


@pytest.fixture(autouse=True)
def ada(client):
    """Somebody who may view everything, and export the audit log and dead letters."""
    powers = ("export_auditlog", "export_deadletter")
    user = admin_site.staff("ada", *admin_site.views(), *powers)
    client.force_login(user)
    return user


def export(client, model, form: str, query: str = ""):
    """The answer to the button."""
    return client.post(f"{page(model, 'export')}?{query}", {"form": form})


def text_of(response) -> str:
    """All that was streamed."""
    return b"".join(response.streaming_content).decode()


def rows_of(response) -> list[dict[str, str]]:
    """The rows of an exported CSV file, as a spreadsheet reads them."""
    return list(csv.DictReader(io.StringIO(text_of(response))))


def test_both_forms_hold_what_was_filtered(client):
    """The same rows as the list, newest first, with JSON where there is JSON."""
    for number in range(4):
        admin_site.entry(event_id=f"e-{number}", routing_key="video.ready", data={"n": number})
    admin_site.entry(event_id="other", routing_key="user.login")

    lines = text_of(export(client, AuditLog, "jsonl", "q=key:video.%23")).splitlines()
    table = rows_of(export(client, AuditLog, "csv", "q=key:video.%23"))

    assert [json.loads(line)["event_id"] for line in lines] == ["e-3", "e-2", "e-1", "e-0"]
    assert [row["event_id"] for row in table] == ["e-3", "e-2", "e-1", "e-0"]
    assert json.loads(lines[0])["data"] == json.loads(table[0]["data"]) == {"n": 3}
    when = datetime.fromisoformat(json.loads(lines[0])["occurred_at"])
    assert when == AuditLog.objects.get(event_id="e-3").occurred_at


def test_no_cell_is_a_formula_and_no_secret_leaves(client):
    """Spreadsheets run cells that begin so; what the pages hide is hidden here, bodies stay."""
    for number, sign in enumerate("=+-@\t\r"):
        admin_site.entry(event_id=f"e-{number}", subject=f"{sign}cmd|' /C calc'!A0")
    admin_site.letter(error="ValueError: password=hunter2", headers={"password": "hunter2"})

    subjects = [row["subject"] for row in rows_of(export(client, AuditLog, "csv"))]
    letters = text_of(export(client, DeadLetter, "csv"))

    assert all(subject.startswith("'") for subject in subjects)
    assert "hunter2" not in letters
    assert "password" in letters
    assert "body" not in letters.splitlines()[0].split(",")


def test_an_export_is_recorded_before_the_first_row_leaves(client, ada):
    """Who took what, filtered by what, in which form."""
    admin_site.entry()

    export(client, AuditLog, "csv", "q=subject:videos/1&within=24")

    (told,) = Message.objects.filter(routing_key="taskrouting.operator.exported")
    event = json.loads(bytes(told.body))
    assert event["authid"] == f"auth.user:{ada.pk} (ada)"
    assert event["data"] == {
        "list": "auditlog", "chosen": "q=subject%3Avideos%2F1&within=24", "format": "csv",
    }  # fmt: skip


def test_who_may_only_view_exports_nothing(client, ada):
    """Neither the page nor the rows; and the list does not offer it."""
    admin_site.message()
    listed = client.get(page(Message)).content.decode()

    assert client.get(page(Message, "export")).status_code == 403
    assert export(client, Message, "csv").status_code == 403
    assert "export/" not in listed
    assert "export/" in client.get(page(AuditLog)).content.decode()
    assert not Message.objects.filter(routing_key__startswith="taskrouting.operator")


def test_a_page_asks_before_anything_is_sent(client):
    """A link alone exports nothing: what has an effect is a button."""
    admin_site.entry()

    response = client.get(f"{page(AuditLog, 'export')}?q=key:video.%23")

    assert not response.streaming
    assert [term.value for term in response.context["asked"]] == ["video.#"]
    mistake = export(client, AuditLog, "csv", "q=sujbect:x")
    assert "did you mean" in mistake.context["trouble"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("query", ["", "q=key:video.%23", "q=before:2030-01-01", "q=actor:x"])
def test_rows_are_fetched_as_they_are_sent(client, monkeypatch, query):
    """A few at a time, in no transaction, also in a site whose requests are ones; none twice."""
    monkeypatch.setattr(exporting, "CHUNK", 3)
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    for number in range(10):
        key = ("video.ready", "video.upload")[number % 2]
        admin_site.entry(event_id=f"e-{number}", routing_key=key, actor="x")
    response = export(client, AuditLog, "jsonl", query)
    chunks = iter(response.streaming_content)
    seen: list[str] = []
    with CaptureQueriesContext(connection) as queries:
        for chunk in chunks:
            assert not connection.in_atomic_block
            seen += [json.loads(line)["event_id"] for line in chunk.decode().splitlines()]
            admin_site.entry(event_id=f"late-{len(seen)}", routing_key="video.ready", actor="x")

    assert seen == [f"e-{number}" for number in reversed(range(10))]
    assert len([query for query in queries if "LIMIT 4" in query["sql"]]) == 4


def test_an_asynchronous_server_streams_too(ada, monkeypatch):
    """There Django would gather a plain stream in memory before it sends the first byte."""
    monkeypatch.setattr(exporting, "CHUNK", 2)
    for number in range(5):
        admin_site.entry(event_id=f"e-{number}")
    request = AsyncRequestFactory().post("/", {"form": "jsonl"})
    request.user = ada
    response = admin.site.get_model_admin(AuditLog).export_view(request)

    async def chunks():
        return [chunk async for chunk in response.streaming_content]

    assert response.is_async
    assert [chunk.count(b"\n") for chunk in async_to_sync(chunks)()] == [2, 2, 1]
