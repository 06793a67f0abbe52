"""Is everything on the pages of the admin? Who may see them is asked in test_admin_walk.py."""

from __future__ import annotations

import pytest
from django.test import override_settings

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

    for address in [page(row, "change") for row in shown] + [page(type(row)) for row in shown]:
        html = viewer.get(address).content.decode()
        assert attack not in html, address
        assert "&lt;script&gt;" in html, address


def test_an_events_page_tells_its_whole_story(rows, viewer):
    """Deliveries with their errors, what waits, what died, the cause and what followed."""
    admin_site.entry(event_id="e-0", routing_key="user.pressed_upload")
    AuditLog.objects.filter(event_id="e-1").update(causation_id="e-0")
    effect = admin_site.entry(event_id="e-2", routing_key="video.ready", causation_id="e-1")
    deed = admin_site.entry(
        event_id="e-3",
        routing_key="taskrouting.operator.redriven",
        subject=f"taskrouting.deadletter/{rows.letter.pk}",
        correlation_id="another",
    )

    html = viewer.get(page(rows.entry, "change")).content.decode()

    for row in (rows.delivery, rows.letter, rows.message, effect, deed):
        assert f'href="{page(row, "change")}"' in html
    for words in ("transcoder", "no codec", "File codec.py", "user.pressed_upload", "auth.user:7"):
        assert words in html


def test_a_story_leaves_out_what_its_reader_may_not_view(rows, client):
    """The right to see the audit log is not the right to see dead letters through it."""
    client.force_login(admin_site.staff("alma", "view_auditlog"))

    html = client.get(page(rows.entry, "change")).content.decode()

    for row in (rows.delivery, rows.letter, rows.message):
        assert f'href="{page(row, "change")}"' not in html
    assert "no codec" not in html


def test_a_conversation_is_a_tree_however_its_causes_run(viewer):
    """Each event stands once, below its cause; even a circle of causes is told to its end."""
    first = admin_site.entry(event_id="a")
    admin_site.entry(event_id="c", causation_id="b")
    admin_site.entry(event_id="b", causation_id="a")
    admin_site.entry(event_id="x", causation_id="y")
    admin_site.entry(event_id="y", causation_id="x")
    admin_site.entry(event_id="z", causation_id="z")

    lines = viewer.get(page(first, "change")).context["story"]["conversation"]

    depths = {line.event.event_id: line.depth for line in lines}
    assert [line.event.event_id for line in lines][:3] == ["a", "b", "c"]
    assert (len(lines), depths["b"], depths["c"], depths["z"]) == (6, 1, 2, 0)


def test_an_event_is_found_by_what_identifies_it(viewer):
    """The link from a delivery leads to the event of the same source, and says when it is gone."""
    admin_site.entry(source="elsewhere")
    ours = admin_site.entry()

    found = viewer.get(page(AuditLog, "event"), {"id": "e-1", "source": "tests"})
    lost = viewer.get(page(AuditLog, "event"), {"id": "e-9", "source": "tests"}, follow=True)

    assert found["Location"] == page(ours, "change")
    assert admin_site.told(lost) == [
        "Event e-9 is not in the audit log: not recorded yet, or pruned."
    ]


@pytest.mark.django_db(databases=["default", "other"])
def test_the_admin_reads_the_database_of_the_ledger(viewer):
    """Lists, pages and stories show ``DATABASE``, and the outbox of others is said to be hidden."""
    with override_settings(
        TASKROUTING={"DATABASE": "other", "OUTBOX_DATABASES": ["default", "other"]}
    ):
        there = admin_site.entry(using="other", event_id="there")
        admin_site.entry(using="default", event_id="here")

        listed = viewer.get(page(AuditLog)).context["cl"].result_list
        story = viewer.get(page(there, "change"))
        waiting = viewer.get(page(Message)).content.decode()

    assert [row.event_id for row in listed] == ["there"]
    assert story.status_code == 200
    assert "The outbox of “default” is not shown here." in waiting


def test_what_was_published_is_shown_as_it_was(viewer, run_subscribers):
    """A real event, from publish() to its page."""
    event = publish("video.upload", {"title": "Bunny", "password": "geheim"}, subject="videos/1")
    run_subscribers()

    found = viewer.get(page(AuditLog, "event"), {"id": event.id}, follow=True).content.decode()

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
