"""Is every page and every action refused to whoever lacks its permission? A walk through all."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from taskrouting import urls
from tests.integration import admin_site, admin_walk
from tests.integration.admin_site import TABLES, page
from tests.integration.admin_walk import Action, Page

pytestmark = pytest.mark.django_db

#: Whatever any form could ask for.
ANYTHING = {"queue": "changed", "reason": "because", "confirmed": "yes", "post": "yes"}

#: What a page is for that changes rows, by the end of its name.
EDITS = ("_add", "_delete")

#: What a page is for that only those see who may do it.
DEEDS = ("_export", "_sweep")


@pytest.fixture
def rows():
    """A row of every table, by its table."""
    return {type(row): row for row in admin_site.one_of_each()}


@pytest.fixture
def found(rows):
    """Every page."""
    return admin_walk.pages(rows)


def test_the_walk_finds_what_there_is(found):
    """Five pages of every table, the two that Django adds, and those of our own."""
    names = {each.name for each in found}

    for table in TABLES:
        for kind in ("changelist", "add", "history", "delete", "change"):
            assert f"taskrouting_{table._meta.model_name}_{kind}" in names
    assert {"index", "taskrouting_event_story", "taskrouting_event_conversation"} <= names
    assert {action.name for action in admin_walk.actions()} == {
        "redrive",
        "discard",
        "delete_selected",
        "restart",
        "stop",
    }


def test_what_needs_no_login_is_known():
    """Machines ask without one, so these tell nothing of any event: see test_monitoring.py."""
    assert {each.name for each in urls.urlpatterns} == {"live", "ready", "well", "metrics"}


def test_strangers_are_sent_to_the_login_from_everywhere(client, found):
    """Nobody who is not logged in sees or does anything."""
    before = admin_walk.everything()
    for each in found:
        for response in (client.get(each.address), client.post(each.address, ANYTHING)):
            assert response.status_code == 302, each
            assert "/login/" in response["Location"], each
    assert admin_walk.everything() == before


def test_staff_without_our_permissions_are_refused_everywhere(client, found):
    """Being staff is not enough for any page."""
    client.force_login(admin_site.staff("sam"))

    before = admin_walk.everything()
    for each in found:
        for response in (client.get(each.address), client.post(each.address, ANYTHING)):
            # Django's old address of a row leads to its new one, whether there is a row or not.
            moved = response.get("Location") == f"{each.address}change/"
            assert moved or response.status_code in (403, 404), each
    assert admin_walk.everything() == before


def assert_read_only(client, each: Page, powers: bool) -> None:
    """A page is shown unless it is there to change something, and takes no form that would."""
    shown = client.get(each.address, follow=True).status_code
    taken = client.post(each.address, ANYTHING, follow=True).status_code
    refused = EDITS if powers else (*EDITS, *DEEDS)
    assert shown == (403 if each.name.endswith(refused) else 200), each
    assert taken == 403 or not each.name.endswith((*EDITS, "_change")), each


@pytest.mark.parametrize("more", [set(), "edits", "powers"], ids=["view", "edits", "powers"])
def test_who_may_view_changes_nothing_anywhere(client, found, more):
    """Nor does anybody with Django's permissions to edit, or with ours, by sending a form."""
    given = getattr(admin_walk, more)() if more else set()
    client.force_login(admin_site.staff("vera", *admin_site.views(), *given))

    before = admin_walk.everything()
    for each in found:
        assert_read_only(client, each, more == "powers")
        assert admin_walk.everything() == before, each


def test_not_even_a_superuser_edits_by_hand(client, found):
    """What the machinery has written stays what it was."""
    client.force_login(User.objects.create_superuser("root", password="secret"))

    before = admin_walk.everything()
    for each in found:
        assert_read_only(client, each, powers=True)
        assert admin_walk.everything() == before, each


def act(client, action: Action, rows) -> None:
    """Send the form of an action as a browser would, for somebody who was never shown it."""
    admin_site.act(client, action.name, rows[action.model], index="0", **ANYTHING)


@pytest.mark.parametrize("action", admin_walk.actions(), ids=lambda each: each.name)
def test_no_action_is_taken_without_its_permission(client, rows, action):
    """Not by strangers, not by staff, and not by whoever may do everything but this."""
    needed = {f"{each}_{action.model._meta.model_name}" for each in action.needs}
    needed |= {name for name in admin_walk.powers() if name.startswith(action.needs)}
    others = (admin_walk.powers() | admin_walk.edits()) - needed
    everybody = [
        None,
        admin_site.staff("sam"),
        admin_site.staff("vera", *admin_site.views()),
        admin_site.staff("otto", *admin_site.views(), *others),
        admin_site.staff("nina", *admin_walk.powers()),
    ]

    before = admin_walk.everything()
    for user in everybody:
        client.logout()
        if user:
            client.force_login(user)
        act(client, action, rows)
        assert admin_walk.everything() == before, user


OURS = [each for each in admin_walk.actions() if each.name != "delete_selected"]


@pytest.mark.parametrize("action", OURS, ids=lambda each: f"{each.model.__name__} {each.name}")
def test_with_its_permission_an_action_is_taken(client, rows, action):
    """The walk sends what each action wants: it is for the permission that others are refused."""
    (needed,) = (name for name in admin_walk.powers() if name.startswith(action.needs))
    client.force_login(admin_site.staff("ada", *admin_site.views(), needed))

    before = admin_walk.everything()
    act(client, action, rows)

    assert admin_walk.everything() != before


def test_nobody_deletes_rows_from_a_list(client, rows):
    """Django's own action is offered to nobody: not to a superuser either."""
    client.force_login(User.objects.create_superuser("root", password="secret"))

    before = admin_walk.everything()
    for table, row in rows.items():
        admin_site.act(client, "delete_selected", row, index="0", **ANYTHING)
        assert "delete_selected" not in client.get(page(table)).content.decode()
    assert admin_walk.everything() == before
