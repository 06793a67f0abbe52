"""Is everything that matches redriven or discarded, once, and nothing else?"""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.db import OperationalError, connection
from django.urls import reverse
from django.utils import timezone

from taskrouting import operators
from taskrouting.dead_letters import groups, records
from taskrouting.management.sweeping import Sweeper
from taskrouting.models import DeadLetter, Delivery, Message, Sweep
from taskrouting.operators import sweeps
from taskrouting.transport.messages import Message as Outgoing
from tests.integration import admin_site
from tests.integration.admin_site import page
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db

ADDRESS = "admin:taskrouting_deadletter_sweep"


@pytest.fixture
def ada(client):
    """Somebody who may view everything, and redrive."""
    user = admin_site.staff("ada", *admin_site.views(), "redrive_deadletter")
    client.force_login(user)
    return user


def letters(number: int, **values) -> list[DeadLetter]:
    """Dead letters of messages that arrived and nobody wanted."""
    given = {"reason": "unmatched", "subscription": "", "queue": "video_queue", **values}
    return [admin_site.letter(event_id=f"m-{each}", **given) for each in range(number)]


def begin(deed: str = "redrive", rate: int = 1000, **chosen) -> Sweep:
    """A sweep of what is there now."""
    upto = sweeps.highest()
    return sweeps.begin(deed, chosen, upto=upto, rate=rate, note="mended", actor="ana")


def take_all_steps() -> None:
    """Do what relays do, without waiting for the rate."""
    while sweeps.until_due() is not None:
        Sweep.objects.update(due_at="2026-01-01T00:00:00Z")
        assert sweeps.step()


def put_back() -> list[str]:
    """The events whose messages wait again, in order."""
    waiting = Message.objects.filter(queue="video_queue").order_by("pk")
    return list(waiting.values_list("event_id", flat=True))


def told(stage: str) -> list[Message]:
    """The events that say so of a sweep."""
    return list(Message.objects.filter(routing_key=f"taskrouting.operator.{stage}"))


def test_a_sweep_redrives_what_matched_when_it_began_and_no_more():
    """Others, later ones and those that are closed stay as they are; the figures say so."""
    mine = letters(60)
    other = letters(1, queue="mail_queue")
    sweep = begin(queue="video_queue")
    late = letters(1)
    operators.redrive(mine[59], actor="bea")

    take_all_steps()

    sweep.refresh_from_db()
    assert (sweep.state, sweep.matched, sweep.succeeded, sweep.refused) == ("finished", 60, 59, 0)
    still_open = set(DeadLetter.objects.filter(resolved_at=None).values_list("pk", flat=True))
    assert still_open == {other[0].pk, late[0].pk}
    assert sorted(put_back()) == sorted(f"m-{number}" for number in range(60))
    assert [len(told(each)) for each in ("sweep.begun", "sweep.finished", "redriven")] == [1, 1, 60]


def test_a_step_that_dies_leaves_nothing_done_and_nothing_twice(monkeypatch):
    """Position and redrives commit together: killed in the middle, the step is taken anew."""
    letters(10)
    sweep = begin()
    redrive, calls = sweeps.redrive, []

    def die(letter, **options):
        calls.append(letter.pk)
        if len(calls) == 7:
            raise SystemExit
        return redrive(letter, **options)

    monkeypatch.setattr(sweeps, "redrive", die)
    with pytest.raises(SystemExit):
        sweeps.step()
    assert put_back() == []
    assert Sweep.objects.get().position == 0

    take_all_steps()

    assert sorted(put_back()) == sorted(f"m-{number}" for number in range(10))
    sweep.refresh_from_db()
    assert sweep.succeeded == 10


def test_what_is_refused_stops_nobody_and_what_fails_ends_the_sweep(monkeypatch):
    """A pruned delivery is counted and named; a fault of ours is told, and the process lives on."""
    letters(2)
    admin_site.letter(delivery=4711)
    sweep = begin()
    take_all_steps()

    sweep.refresh_from_db()
    assert (sweep.state, sweep.succeeded, sweep.refused) == ("finished", 2, 1)
    assert "belongs to delivery 4711" in sweep.trouble

    letters(1)
    second = begin()
    monkeypatch.setattr(sweeps, "redrive", lambda letter, **options: {}["odd"])
    assert sweeps.step()
    second.refresh_from_db()
    assert (second.state, second.trouble) == ("failed", "KeyError: 'odd'")
    assert len(told("sweep.failed")) == 1


def test_a_step_that_the_database_ends_leaves_the_others_their_turn(monkeypatch):
    """A statement that takes too long is tried again later, and says why on its page."""
    letters(3)
    slow, quick = begin(), begin()
    advance = sweeps._advance

    def cut_short(sweep):
        if sweep.pk == slow.pk:
            raise OperationalError("canceling statement due to statement timeout")
        advance(sweep)

    monkeypatch.setattr(sweeps, "_advance", cut_short)
    while sweeps.step():
        pass

    slow.refresh_from_db()
    quick.refresh_from_db()
    assert (slow.state, quick.state) == ("running", "finished")
    assert "statement timeout" in slow.trouble
    assert slow.due_at > timezone.now() + timedelta(seconds=30)


def test_the_rate_is_kept():
    """A step deals with no more than a second's worth, and the next one is due when it may."""
    letters(5)
    begin(rate=2)

    assert sweeps.step()
    assert not sweeps.step()

    assert len(put_back()) == 2
    assert 0.5 < sweeps.until_due() <= 1


def test_discarding_needs_a_reason_and_closes_the_delivery():
    """As if each had been discarded by hand."""
    dead = admin_site.delivery()
    letter = admin_site.letter(delivery=dead.pk)
    with pytest.raises(ValueError, match="needs a reason"):
        sweeps.begin("discard", {}, upto=letter.pk, rate=1)

    begin("discard")
    take_all_steps()

    letter.refresh_from_db()
    dead.refresh_from_db()
    assert (letter.resolution, letter.note) == ("discarded", "mended")
    assert dead.state == Delivery.State.DISCARDED


@pytest.mark.django_db(transaction=True)
def test_relays_work_it_off_and_stop_when_told():
    """The thread that a worker runs finds the sweep, and takes no step after the stop."""
    letters(3)
    sweep = begin(rate=1)
    stop = threading.Event()
    thread = threading.Thread(target=Sweeper().run, args=[stop])
    thread.start()
    try:
        wait_until(put_back, message="the first step")
        assert sweeps.stop(sweep, actor="bea")
    finally:
        stop.set()
        thread.join()

    sweep.refresh_from_db()
    assert sweep.state == "stopped"
    assert sweep.succeeded == len(put_back()) < 3
    assert not sweeps.step()
    assert not sweeps.stop(sweep)
    assert len(told("sweep.stopped")) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer")
def test_two_relays_never_take_the_same_step():
    """While one has the sweep, the other finds nothing to do and does not wait."""
    letters(4)
    begin()
    answers = []
    entered, leave = threading.Event(), threading.Event()
    original = sweeps._advance

    def slowly(sweep):
        entered.set()
        assert leave.wait(10)
        original(sweep)

    def take():
        answers.append(sweeps.step())
        connection.close()

    sweeps._advance = slowly
    try:
        thread = threading.Thread(target=take)
        thread.start()
        assert entered.wait(10)
        assert not sweeps.step()
    finally:
        leave.set()
        thread.join()
        sweeps._advance = original

    assert answers == [True]
    assert len(put_back()) == 4


def test_the_page_counts_freezes_and_begins(client, ada):
    """What it says is what is swept, although another one arrives before the click."""
    letters(3)
    letters(2, queue="mail_queue")
    address = reverse(ADDRESS) + "?deed=redrive&queue=video_queue&q=key:video.%23"
    asked = client.get(address)
    form = asked.context["form"]
    letters(1)

    assert asked.context["count"] == 3
    wrong = client.post(address, {"upto": form.initial["upto"], "rate": "0"})
    assert not Sweep.objects.exists()
    assert wrong.context["count"] == 3
    begun = client.post(address, {"upto": form.initial["upto"], "rate": "50"}, follow=True)

    sweep = Sweep.objects.get()
    assert (sweep.matched, sweep.rate, sweep.actor) == (3, 50, f"auth.user:{ada.pk} (ada)")
    assert begun.context["told"]["left"] == "3"
    take_all_steps()
    figures = client.get(page(sweep, "change"), {"form": "json"}).json()
    assert (figures["running"], figures["succeeded"], figures["left"]) == (False, 3, "0")


def said(html: str) -> dict[str, str]:
    """What a page says was asked for: the text behind each name, without its marks."""
    found = re.findall("<dt>([^<]*)</dt><dd>(.*?)</dd>", html)
    return {name: " ".join(re.sub("<[^>]*>", " ", value).split()) for name, value in found}


def test_what_was_asked_for_is_said_in_words(client, ada):
    """Before the click and after it, as the filters and the search box say it."""
    letters(1, cause="x")
    query = {
        "reason__exact": "unmatched", "queue": "video_queue", "subscription": "",
        "q": "key:video.# event:m-0 after:2026-11-01T10:30",
    }  # fmt: skip
    words = {
        "reason": "no subscription of the queue wants it", "queue": "video_queue",
        "subscription": "(none)", "event": "m-0", "routing keys like": "video.#",
        "after": "2026-11-01 10:30:00",
    }  # fmt: skip
    address = f"{reverse(ADDRESS)}?{urlencode(query)}"

    before = client.get(address).content.decode()
    begun = client.post(address, {"upto": sweeps.highest(), "rate": "50"}, follow=True)

    assert said(before).items() >= words.items()
    after = said(begun.content.decode())
    assert after.items() >= words.items()
    assert list(after)[: len(words)] == list(words)


def test_what_was_asked_for_is_never_markup(client, ada):
    """Not even what is kept is trusted, and what is unknown here is shown as it is."""
    bad = "<b>bold</b>"
    chosen = {"queue": bad, "cause": bad, "created_at__lt": bad, "routing_key__regex": bad,
              "event_id__in": ["a", "b"], "unheard": bad}  # fmt: skip
    sweep = Sweep.objects.create(deed="redrive", chosen=chosen, upto=0, matched=0, rate=1)

    html = client.get(page(sweep, "change")).content.decode()

    assert bad not in html
    assert html.count("&lt;b&gt;bold&lt;/b&gt;") == 5
    assert said(html)["event"] == "2 events"


@pytest.mark.parametrize("query", ["resolution=redriven", "q=sujbect:x"])
def test_what_cannot_be_swept_is_told(client, ada, query):
    """Closed ones and mistakes: never all that are open; what is no filter of ours is refused."""
    letters(1)
    address = f"{reverse(ADDRESS)}?{query}"

    response = client.post(address, {"upto": sweeps.highest(), "rate": "50"})

    assert response.context["trouble"]
    assert not Sweep.objects.exists()
    for other in ("created_at=nonsense", "resolved_at__year=2026", "queue=%00"):
        assert client.get(f"{reverse(ADDRESS)}?{other}").status_code == 400
    posted = client.post(reverse(ADDRESS), {"upto": "9" * 5000, "rate": "50"})
    assert posted.status_code == 200
    assert not Sweep.objects.exists()


def test_a_sweep_needs_the_permission_of_its_deed(client, ada):
    """Who may redrive may neither discard all, nor stop who does."""
    letters(1)
    sweep = begin("discard")
    stop = reverse("admin:taskrouting_sweep_stop", args=[sweep.pk])

    assert client.get(reverse(ADDRESS)).status_code == 200
    assert client.get(reverse(ADDRESS) + "?deed=discard").status_code == 403
    assert client.get(reverse(ADDRESS) + "?deed=anything").status_code == 403
    assert client.post(stop, {"stop": "yes"}).status_code == 403
    admin_site.staff("bea", "view_deadletter", "discard_deadletter")
    client.logout()
    client.login(username="bea", password="secret")
    client.post(stop, {"stop": "yes"})
    assert Sweep.objects.get().state == "stopped"


def test_open_letters_are_grouped_by_what_they_died_of(client, ada):
    """One group for each queue, subscription and cause, the largest first, linked to its list."""
    away = 'Traceback:\n  File "/srv/shop/mail.py", line {}, in send\nConnectionError: {}'
    for number in range(3):
        values = {"queue": "mail_queue", "subscription": "mail", "event_id": f"e-{number}"}
        message = Outgoing(body=b"{}", routing_key="order.paid", source="s", **values)
        records.keep_message(message, "exhausted", away.format(number, number))
    old = letters(1)[0]
    closed = letters(1, queue="closed_queue")[0]
    operators.discard(closed, "gone")
    assert DeadLetter.objects.get(pk=old.pk).cause == ""
    assert list(groups.name_causes()) == [1]

    response = client.get(reverse("admin:taskrouting_deadletter_groups"))

    found = [(each["group"].cause, each["group"].count) for each in response.context["groups"]]
    assert found == [("ConnectionError in srv/shop/mail.py:send", 3), ("unmatched", 1)]
    for each in response.context["groups"]:
        listed = client.get(each["address"]).context["cl"].result_list
        assert len(listed) == each["group"].count
