"""Is everything on the pages of the admin? Who may see them is asked in test_admin_walk.py."""

from __future__ import annotations

import pytest
from django.test import override_settings
from django.urls import reverse

from taskrouting import publish
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message
from tests.integration import admin_site, admin_walk
from tests.integration.admin_site import page

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows():
    """A row of every table."""
    return admin_site.one_of_each()


@pytest.fixture
def viewer(client):
    """A client of somebody who may view everything, and do nothing."""
    client.force_login(admin_site.staff("vera", *admin_site.views()))
    return client


def test_no_page_needs_a_loose_content_security_policy(rows, viewer):
    """No inline script, no inline style, no event attribute on any page of ours."""
    for each in admin_walk.pages({type(row): row for row in rows}):
        html = viewer.get(each.address, follow=True).content.decode()
        assert admin_site.Forbidden(html).found == [], each


def test_what_events_hold_is_never_markup(viewer):
    """Whatever a stranger writes into an event, a page shows it as text."""
    attack = "<script>alert(1)</script>"
    event = {"event_id": attack, "source": attack, "routing_key": attack}
    errors = [{"exception": attack, "message": attack, "traceback": attack, "attempt": attack}]
    dead = admin_site.delivery(**event, subscription=attack, queue=attack, errors=errors)
    shown = [
        admin_site.entry(**event, subject=attack, actor=attack, data={attack: attack}),
        dead,
        admin_site.letter(**event, error=attack, body=attack.encode(), headers={attack: attack}),
        admin_site.message(**event, queue=attack, body=b'{"a": "<script>alert(1)</script>"}'),
    ]
    conversation = reverse("admin:taskrouting_event_conversation", args=["c-1"])

    addresses = [page(row, "change") for row in shown] + [page(type(row)) for row in shown]
    for address in [*addresses, admin_site.story(attack, attack), conversation]:
        html = viewer.get(address).content.decode()
        assert attack not in html, address
        assert "&lt;script&gt;" in html, address


@pytest.mark.django_db(databases=["default", "other"])
def test_the_admin_reads_the_database_of_the_ledger(viewer):
    """Lists, pages and stories show ``DATABASE``, and the outbox of others is said to be hidden."""
    with override_settings(
        TASKROUTING={"DATABASE": "other", "OUTBOX_DATABASES": ["default", "other"]}
    ):
        admin_site.entry(using="other", event_id="there")
        admin_site.entry(using="default", event_id="here")

        listed = viewer.get(page(AuditLog)).context["cl"].result_list
        story = viewer.get(admin_site.story("there"))
        waiting = viewer.get(page(Message)).content.decode()

    assert [row.event_id for row in listed] == ["there"]
    assert story.context["story"]["recorded"]
    assert "The outbox of “default” is not shown here." in waiting


def test_what_was_published_is_shown_as_it_was(viewer, run_subscribers):
    """A real event, from publish() to its page."""
    event = publish("video.upload", {"title": "Bunny", "password": "geheim"}, subject="videos/1")
    run_subscribers()

    found = viewer.get(admin_site.story(event.id)).content.decode()

    assert "Bunny" in found
    assert "geheim" not in found


def test_open_dead_letters_are_shown_first(viewer):
    """Closed ones are a filter away, and a search looks through all of them."""
    admin_site.letter(event_id="open")
    closed = admin_site.letter(event_id="closed")
    DeadLetter.objects.filter(pk=closed.pk).update(
        resolved_at=closed.created_at, resolution="discarded"
    )

    def shown(query: str) -> list[str]:
        return [row.event_id for row in viewer.get(page(DeadLetter) + query).context["cl"].queryset]

    assert shown("") == ["open"]
    assert shown("?resolution=discarded") == ["closed"]
    assert shown("?resolution=all") == ["closed", "open"]
    assert shown("?q=closed") == ["closed"]


def test_only_what_is_dead_or_open_has_buttons(rows, client):
    """A page offers what makes sense for its row, to those who may."""
    powers = ("redrive_deadletter", "discard_deadletter")
    client.force_login(admin_site.staff("ada", *admin_site.views(), *powers))

    def buttons(row) -> list[str]:
        return [name for name, label in client.get(page(row, "change")).context["row_actions"]]

    assert buttons(rows.letter) == ["redrive", "discard"]
    assert buttons(rows.delivery) == ["redrive"]
    assert buttons(rows.message) == []
    Delivery.objects.update(state=Delivery.State.HANDLED)
    DeadLetter.objects.update(resolved_at=rows.letter.created_at, resolution="redriven")
    assert buttons(rows.letter) == buttons(rows.delivery) == []
