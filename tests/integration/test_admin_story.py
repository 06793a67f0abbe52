"""Does one page answer "what happened to this event?", to those who may know, and cheaply?"""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from django.urls import reverse

from taskrouting import context, publish, subscribe
from taskrouting.admin import conversation as conversations
from taskrouting.admin import waterfall
from taskrouting.models import AuditLog, DeadLetter, Delivery, Event, Message, WorkerProcess
from tests.integration import admin_site
from tests.integration.admin_site import page, story

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

#: What a page of ours may ask of the database, the session and the permissions among it.
MOST_QUERIES = 15


@pytest.fixture
def rows():
    """A row of every table."""
    return admin_site.one_of_each()


@pytest.fixture
def viewer(client):
    """A client of somebody who may view everything, and do nothing."""
    client.force_login(admin_site.staff("vera", *admin_site.views()))
    return client


def told(client, address):
    """The HTML of a page."""
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def conversation(correlation_id):
    """The address of a conversation."""
    return reverse("admin:taskrouting_event_conversation", args=[correlation_id])


def failed(number, after):
    """What the ledger remembers of an attempt that failed so many seconds past noon."""
    return {
        "attempt": number,
        "started": (NOON + timedelta(seconds=after)).isoformat(),
        "duration": 0.5,
        "worker": f"w-{number}",
        "exception": "builtins.ValueError",
        "message": "no codec",
        "traceback": "File codec.py",
    }


def test_a_story_is_whole(rows, viewer):
    """Who, why, deliveries with errors, what waits, what died, interventions, cause, effects."""
    admin_site.entry(event_id="e-0", routing_key="user.pressed_upload")
    AuditLog.objects.filter(event_id="e-1").update(causation_id="e-0")
    effect = admin_site.entry(event_id="e-2", routing_key="video.ready", causation_id="e-1")
    deed = admin_site.entry(
        event_id="e-3",
        routing_key="taskrouting.operator.redriven",
        subject=f"taskrouting.deadletter/{rows.letter.pk}",
        correlation_id="another",
    )

    html = told(viewer, story("e-1"))

    for row in (rows.delivery, rows.letter, rows.message, rows.entry):
        assert f'href="{page(row, "change")}"' in html
    for event in (effect, deed):
        assert f'href="{story(event.event_id, "tests")}"' in html
    for words in ("transcoder", "no codec", "File codec.py", "user.pressed_upload", "auth.user:7"):
        assert words in html


def test_the_audit_logs_page_leads_to_the_story(rows, viewer):
    """There is one story, and the row, the lists and the deliveries lead to it."""
    for each in (rows.entry, rows.delivery, rows.letter, rows.message):
        assert story("e-1", "tests") in told(viewer, page(each, "change"))
        assert story("e-1", "tests") in told(viewer, page(type(each)))


def test_where_the_story_is_refused_nothing_leads_to_it(rows, client):
    """Who may not view the audit log sees the ids of events, and no links that end in a 403."""
    WorkerProcess.objects.update(subscriptions={"video_queue": {"transcoder": ["video.#"]}})
    admin_site.delivery(event_id="e-2", state="running", worker="w-1", started_at=NOON)
    one = [rows.delivery, rows.letter, rows.message, rows.worker]
    addresses = [page(Delivery), page(DeadLetter), page(Message)]
    addresses += [page(each, "change") for each in one]
    views = [each for each in admin_site.views() if each != "view_auditlog"]
    client.force_login(admin_site.staff("alma", *views))

    shown = {address: told(client, address) for address in addresses}

    stories = reverse("admin:taskrouting_event_changelist")
    assert client.get(story("e-1")).status_code == 403
    assert [at for at, html in shown.items() if stories in html] == []
    assert [at for at, html in shown.items() if not re.search(">e-[12]</code>", html)] == []


@pytest.mark.parametrize("table", ["delivery", "deadletter", "message", "binding"])
def test_a_story_leaves_out_what_its_reader_may_not_view(rows, client, table):
    """The right to see the audit log is not the right to see other tables through it."""
    subscribe("video.#", queue="video_queue", name="transcoder")(print)
    words = {
        "delivery": [
            "File codec.py",
            page(rows.delivery, "change"),
            "taskrouting-state taskrouting-dead",
        ],
        "deadletter": [page(rows.letter, "change"), "all attempts failed"],
        "message": [page(rows.message, "change"), "Messages that wait"],
        "binding": ["<code>video.#</code>"],
    }[table]
    others = [each for each in admin_site.views() if each != f"view_{table}"]
    client.force_login(admin_site.staff("alma", *admin_site.views()))
    seen = told(client, story("e-1"))
    client.force_login(admin_site.staff("bea", *others))
    unseen = told(client, story("e-1"))

    for word in words:
        assert word in seen
        assert word not in unseen
    assert "You may not view" in unseen


def test_nobody_is_told_without_the_right_to_view_the_audit_log(rows, client):
    """Neither the story nor the conversation, nor whether there is such an event."""
    views = [each for each in admin_site.views() if each != "view_auditlog"]
    client.force_login(admin_site.staff("alma", *views))

    asked = reverse("admin:taskrouting_event_changelist") + "?q=e-1"
    for address in (story("e-1"), story("e-9"), conversation("c-1"), asked):
        assert client.get(address).status_code == 403


def test_it_says_which_bindings_and_patterns_wanted_the_event(rows, viewer):
    """Today's code says why; what it does not explain is marked, and what is not recorded too."""
    subscribe("video.#", "audio.#", queue="video_queue", name="transcoder")(print)
    subscribe("*.upload", queue="search_queue", name="indexer")(print)
    admin_site.delivery(subscription="renamed", queue="old_queue", errors=[])

    found = viewer.get(story("e-1")).context["story"]["reasons"]

    shown = {each.subscription: (each.queue, each.bindings, each.patterns) for each in found}
    assert shown["transcoder"] == ("video_queue", ("video.#",), ("video.#",))
    assert shown["indexer"] == ("search_queue", ("*.upload",), ("*.upload",))
    outcomes = {each.subscription: (str(each.outcome), each.today) for each in found}
    assert "dead" in outcomes["transcoder"][0]
    assert outcomes["indexer"] == ("no record", True)
    assert "recorded" in outcomes["taskrouting.audit"][0]
    assert outcomes["renamed"][1] is False


def test_it_names_the_request_and_links_to_the_object(client):
    """The route of the request without its values, its id, and the page of what it was about."""
    admin = User.objects.create_superuser("root", password="secret")
    client.force_login(admin)
    request = {"request": "POST /videos/<uuid:pk>/", "requestid": "r-1"}
    admin_site.entry(subject=f"auth.user/{admin.pk}", extensions=request)

    html = told(client, story("e-1"))

    assert "POST /videos/&lt;uuid:pk&gt;/" in html
    assert "r-1" in html
    assert f'href="/admin/auth/user/{admin.pk}/change/"' in html


@pytest.mark.parametrize(
    "subject", ["auth.user/1", "auth.user", "no.such/1", "a.b.c/1", "videos/1"]
)
def test_a_subject_that_leads_nowhere_is_text(viewer, subject):
    """No link to what is no object, has no page, or may not be viewed."""
    admin_site.entry(subject=subject)

    html = told(viewer, story("e-1"))

    assert f"<dd>{subject}</dd>" in html


def test_every_attempt_is_drawn_and_told(viewer):
    """Published, waited, failed, failed, handled: as bars, and in the table beside them."""
    admin_site.entry(occurred_at=NOON, relayed_at=NOON + timedelta(seconds=1))
    handled = admin_site.delivery(
        state="handled", attempts=3, errors=[failed(1, 2), failed(2, 8)], worker="w-3"
    )
    Delivery.objects.filter(pk=handled.pk).update(
        received_at=NOON + timedelta(seconds=2),
        started_at=NOON + timedelta(seconds=18),
        finished_at=NOON + timedelta(seconds=20),
    )

    response = viewer.get(story("e-1"))

    event, delivery = response.context["story"]["waterfall"]["rows"]
    assert [bar["step"].kind for bar in event["bars"]] == ["published", "outbox"]
    assert [bar["step"].kind for bar in delivery["bars"]] == ["queued", "failed", "failed", "ran"]
    assert [bar["after"] for bar in delivery["bars"]] == ["1.0 s", "2.0 s", "8.0 s", "18.0 s"]
    lefts = [bar["x"] for bar in delivery["bars"]]
    assert lefts == sorted(lefts)
    assert lefts[-1] + delivery["bars"][-1]["width"] == waterfall.RIGHT
    html = response.content.decode()
    for words in ("attempt 2 failed", "attempt 3 ended", "w-2", "2 failed attempts within 20.0 s"):
        assert words in html


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ({"state": "pending", "attempts": 1, "errors": [failed(1, 2)]}, ["failed"]),
        ({"state": "running", "attempts": 1, "errors": [failed(1, 2)]}, ["failed", "open"]),
        ({"state": "dead", "attempts": 1, "errors": [failed(1, 2)]}, ["failed"]),
        ({"state": "dead", "attempts": 0, "crashes": 5, "errors": []}, ["failed"]),
        ({"state": "discarded", "attempts": 1, "errors": [failed(1, 2)]}, ["failed"]),
        ({"state": "discarded", "attempts": 1, "errors": []}, ["ran"]),
        ({"state": "handled", "attempts": 1, "errors": [{"started": "nonsense"}, 7]}, ["ran"]),
    ],
)  # fmt: skip
def test_an_attempt_is_drawn_once(viewer, values, kinds):
    """What the list of errors and the columns both say is one attempt; nonsense is none."""
    admin_site.entry(occurred_at=NOON)
    over = None if values["state"] in ("pending", "running") else NOON + timedelta(seconds=3)
    started = NOON + timedelta(seconds=2)
    made = admin_site.delivery(**values, started_at=started, finished_at=over)
    Delivery.objects.filter(pk=made.pk).update(received_at=started)

    _, delivery = viewer.get(story("e-1")).context["story"]["waterfall"]["rows"]

    assert [bar["step"].kind for bar in delivery["bars"][1:]] == kinds


def test_a_conversation_is_a_tree_however_its_causes_run(viewer):
    """Each event stands once, below its cause; even a circle of causes is told to its end."""
    admin_site.entry(event_id="a")
    admin_site.entry(event_id="c", causation_id="b")
    admin_site.entry(event_id="b", causation_id="a")
    admin_site.entry(event_id="x", causation_id="y")
    admin_site.entry(event_id="y", causation_id="x")
    admin_site.entry(event_id="z", causation_id="z")

    for address in (conversation("c-1"), story("a")):
        shown = viewer.get(address).context
        nodes = shown["nodes"] if "nodes" in shown else shown["story"]["nodes"]
        depths = {node.event.event_id: node.depth for node in nodes}
        assert [node.event.event_id for node in nodes][:3] == ["a", "b", "c"]
        assert (len(nodes), depths["b"], depths["c"], depths["z"]) == (6, 1, 2, 0)


def test_a_conversation_shows_what_became_of_each_event(viewer):
    """The state of every delivery, in words, and every attempt of those that failed."""
    admin_site.entry(event_id="a", occurred_at=NOON)
    admin_site.entry(event_id="b", occurred_at=NOON, causation_id="a", source="elsewhere")
    admin_site.delivery(event_id="a", attempts=2, errors=[failed(1, 1), failed(2, 3)])
    admin_site.delivery(event_id="b", source="elsewhere", state="handled", errors=[])
    admin_site.delivery(event_id="b", subscription="another source's")

    response = viewer.get(conversation("c-1"))

    states = {n.event.event_id: [d.state for d in n.deliveries] for n in response.context["nodes"]}
    assert states == {"a": ["dead"], "b": ["handled"]}
    assert "attempt 2 failed" in response.content.decode()


def test_a_long_conversation_is_leafed_through(viewer, monkeypatch):
    """A page has so many events and rows, and the next begins where it ended."""
    monkeypatch.setattr(conversations, "MOST_EVENTS", 3)
    monkeypatch.setattr(waterfall, "MOST", 2)
    entries = [admin_site.entry(event_id=f"e-{number}") for number in range(7)]

    seen, address = [], conversation("c-1")
    while address:
        response = viewer.get(address)
        seen += [node.event.event_id for node in response.context["nodes"]]
        assert len(response.context["waterfall"]["rows"]) <= 2
        address = response.context["next"]

    assert seen == [entry.event_id for entry in entries]
    assert "no more events" in told(viewer, conversation("c-1") + f"?after={entries[-1].pk}")
    assert told(viewer, conversation("c-1") + "?after=nonsense")


def test_an_event_in_a_long_conversation_shows_its_neighbours(viewer, monkeypatch):
    """Its cause, itself and its effects, wherever in the conversation they are."""
    monkeypatch.setattr(conversations, "MOST_EVENTS", 3)
    for number in range(5):
        admin_site.entry(event_id=f"e-{number}")
    admin_site.entry(event_id="here", causation_id="e-4")
    admin_site.entry(event_id="after", causation_id="here")

    shown = viewer.get(story("here")).context["story"]

    assert shown["more_events"]
    assert [(n.event.event_id, n.depth) for n in shown["nodes"]] == [
        ("e-4", 0), ("here", 1), ("after", 2),
    ]  # fmt: skip


def test_two_producers_may_use_one_id(viewer):
    """Each has its own story, and the page says that there is another."""
    admin_site.entry(source="elsewhere", routing_key="theirs")
    admin_site.entry(routing_key="ours")

    assert viewer.get(story("e-1", "tests")).context["story"]["entry"].routing_key == "ours"
    assert story("e-1", "tests") in told(viewer, story("e-1"))


def test_an_event_that_is_not_recorded_is_told_from_its_message(viewer):
    """Before the audit log has it, the message that waits says who, what and why."""
    subscribe("video.#", queue="video_queue", name="transcoder")(print)
    with (
        context.acting(actor="ana"),
        override_settings(TASKROUTING={"SOURCE": "tests", "AUDIT": {"queue": None}}),
    ):
        event = publish(
            "video.upload", {"title": "Bunny", "password": "geheim"}, subject="videos/1"
        )

    html = told(viewer, story(event.id))

    assert not AuditLog.objects.exists()
    for words in ("not in the audit log", "ana", "videos/1", "Bunny", "Messages that wait"):
        assert words in html
    assert "geheim" not in html


@pytest.mark.parametrize("kind", ["delivery", "letter", "message"])
def test_a_single_trace_is_enough_for_a_story(viewer, kind):
    """A delivery, a dead letter or a message whose body is no event: each is told of."""
    row = getattr(admin_site, kind)(event_id="lost")

    html = told(viewer, story("lost"))

    assert "not in the audit log" in html
    assert f'href="{page(row, "change")}"' in html


def test_it_says_so_when_nothing_is_known(viewer):
    """An id that is nowhere is no error."""
    assert "Nothing is known of event e-9" in told(viewer, story("e-9"))
    assert "knows no event of this conversation" in told(viewer, conversation("c-9"))


@pytest.mark.parametrize("identity", ["a/b", "../x", "a b?c#d", "ä_2F%", "_2F", "conversation"])
def test_any_id_has_an_address(viewer, identity):
    """Foreign producers choose their ids as they like."""
    admin_site.entry(event_id=identity, correlation_id=identity)

    assert viewer.get(story(identity, "tests")).context["story"]["recorded"]
    address = viewer.get(story(identity)).context["story"]["conversation_address"]
    assert len(viewer.get(address).context["nodes"]) == 1


def test_the_search_leads_to_what_was_meant(viewer):
    """An event's id, a correlation id or a subject; what is unknown is asked for as an event."""
    admin_site.entry()
    search = page(Event)

    def led(asked):
        return viewer.get(search, {"q": asked})["Location"]

    assert 'name="q"' in told(viewer, search)
    assert led("e-1") == story("e-1")
    assert led("c-1") == conversation("c-1")
    assert "q=subject" in led(" videos/1 ")
    assert led("e-9") == story("e-9")


def test_the_envelope_is_what_was_on_the_wire(viewer, run_subscribers):
    """One JSON document that begins as CloudEvents do; bytes stay base64."""
    event = publish("video.upload", b"\x00\x01", subject="videos/1")
    run_subscribers()

    envelope = viewer.get(story(event.id)).context["story"]["envelope"]

    assert "&quot;specversion&quot;: &quot;1.0&quot;" in envelope
    assert "&quot;data_base64&quot;: &quot;AAE=&quot;" in envelope


def test_secrets_are_nowhere_on_the_pages(viewer):
    """Neither in the envelope nor in the command, in errors, in bytes or in a dead letter."""
    secret = "geheim-4711"
    data = {"password": secret, "list": [{"Password": secret}], "text": f"password={secret}"}
    error = {**failed(1, 1), "message": f"password={secret}", "traceback": f"password: '{secret}'"}
    admin_site.entry(data=data, extensions={"password": secret})
    admin_site.delivery(errors=[error])
    admin_site.letter(error=f"password={secret}")
    encoded = "eyJwYXNzd29yZCI6ICJnZWhlaW0tNDcxMSJ9"  # the same as bytes
    admin_site.entry(event_id="e-2", data={"data_base64": encoded})

    for address in (story("e-1"), story("e-2"), conversation("c-1")):
        html = told(viewer, address)
        assert secret not in html
        assert encoded not in html
    assert "are masked" in told(viewer, story("e-1"))


def test_the_command_publishes_what_it_says(viewer):
    """Quoted for a shell, whatever is in the data; what needs no mask has none."""
    data = {"title": 'it\'s "$HOME" `id`\n', "n": 1}
    admin_site.entry(data=data, subject="a b;c")

    command = viewer.get(story("e-1")).context["story"]["command"]

    words = shlex.split(command["line"])
    assert words[:4] == ["python", "manage.py", "publish_event", "--subject=a b;c"]
    assert words[4] == "video.upload"
    assert json.loads(words[5]) == data
    assert not command["masked"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"data_base64": "AAE="}, "binary"),
        ("x" * 9_000, "too long"),
    ],
)
def test_what_no_command_can_carry_is_said(viewer, data, expected):
    """Bytes and very long data are no arguments of a program."""
    admin_site.entry(data=data)
    assert expected in viewer.get(story("e-1")).context["story"]["command"]["reason"]


def test_a_story_costs_few_queries_however_long_it_is(
    rows, client, django_assert_max_num_queries, monkeypatch
):
    """Ten times the events, attempts and dead letters are not one query more."""
    client.force_login(admin_site.staff("vera", *admin_site.views()))
    AuditLog.objects.filter(event_id="e-1").update(causation_id="gone")
    for number in range(60):
        admin_site.entry(event_id=f"n-{number}", causation_id="e-1")
        admin_site.delivery(event_id=f"n-{number}")
        admin_site.delivery(subscription=f"s-{number}", errors=[failed(1, 1)])
        admin_site.letter(subscription=f"s-{number}")

    with django_assert_max_num_queries(MOST_QUERIES):
        assert len(client.get(story("e-1")).context["story"]["waterfall"]["rows"]) == 182
    with django_assert_max_num_queries(MOST_QUERIES):
        client.get(conversation("c-1"))
    AuditLog.objects.all().delete()
    with django_assert_max_num_queries(MOST_QUERIES):
        client.get(story("e-1"))


def test_every_part_is_bounded(rows, viewer):
    """However much there is of anything, a page shows so much and says that there is more."""
    AuditLog.objects.filter(event_id="e-1").update(correlation_id="")
    for number in range(110):
        admin_site.entry(event_id=f"n-{number}", causation_id="e-1", correlation_id="")
        admin_site.delivery(subscription=f"s-{number:03}", errors=[])
        admin_site.letter()
        admin_site.message()

    shown = viewer.get(story("e-1")).context["story"]

    assert {name: len(shown[name]) for name in ("deliveries", "letters", "waiting")} == {
        "deliveries": 100, "letters": 100, "waiting": 100,
    }  # fmt: skip
    assert (len(shown["nodes"]), shown["more_effects"]) == (101, True)
    assert len(shown["waterfall"]["rows"]) == waterfall.MOST
