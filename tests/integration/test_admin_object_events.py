"""Does the page of an object lead to its events, beside its history?"""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

import taskrouting
from tests.integration import admin_site
from tests.integration.admin_site import page
from tests.published import capturing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def above_the_admin(settings):
    """Find our templates before the admin's, as where we stand above it in INSTALLED_APPS."""
    ours = Path(taskrouting.__file__).parent / "templates"
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [ours]}]


@pytest.fixture
def root(client):
    """Somebody who may do everything, logged in."""
    user = User.objects.create_superuser("root", password="secret")
    client.force_login(user)
    return user


def tools(client, row):
    """What stands in the upper corner of an object's page."""
    html = client.get(page(row, "change")).content.decode()
    return html.partition('class="object-tools"')[2].partition("</ul>")[0]


def events_of(subject):
    """Where the link leads to."""
    return f"{reverse('admin:taskrouting_auditlog_changelist')}?q=subject%3A%22{subject}%22"


def test_a_model_that_publishes_has_events_beside_its_history(client, root):
    """Whether any has been recorded or not, under the subject that its events have."""
    with capturing(User, created="user.created"):
        usual = tools(client, root)
    with capturing(User, created="user.created", subject=lambda user: f"people/{user.pk}"):
        own = tools(client, root)

    assert "History" in usual
    assert events_of(f"auth.user%2F{root.pk}") in usual
    assert events_of(f"people%2F{root.pk}") in own


def test_two_declarations_may_name_an_object_differently(client, root):
    """Each subject has a link; one that both use has one."""
    with (
        capturing(User, created="user.created"),
        capturing(User, deleted="user.deleted"),
        capturing(User, updated="user.updated", subject=lambda user: "people"),
    ):
        shown = tools(client, root)

    assert shown.count("Events") == 2
    assert events_of("people") in shown


def test_any_object_that_events_are_about_has_the_link(client, root):
    """Found by its subject, in one query with an index; without any event there is no link."""
    group = Group.objects.create(name="staff")
    assert "Events" not in tools(client, group)

    admin_site.entry(subject=f"auth.group/{group.pk}")
    with CaptureQueriesContext(connection) as asked:
        shown = tools(client, group)

    assert events_of(f"auth.group%2F{group.pk}") in shown
    assert sum("taskrouting_auditlog" in query["sql"] for query in asked) == 1


def test_who_may_not_view_the_audit_log_has_no_link(client, root):
    """And nothing is looked up."""
    root.is_superuser = False
    root.save()
    root.user_permissions.set(admin_site.Permission.objects.filter(codename="view_user"))
    with capturing(User, created="user.created"):
        shown = tools(client, root)

    assert "History" in shown
    assert "Events" not in shown


def test_our_own_pages_and_others_are_left_alone(client, root):
    """A page without an object, and the read-only rows of ours, are what they were."""
    entry = admin_site.entry()

    assert client.get(reverse("admin:auth_group_add")).status_code == 200
    assert "The story of this event" in tools(client, entry)
