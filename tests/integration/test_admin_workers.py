"""Do the pages of the worker processes show who does what, and may one ask them to stop?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from taskrouting import operators
from taskrouting.models import AuditLog, Delivery, WorkerProcess
from tests.integration import admin_site
from tests.integration.admin_site import act, page, told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]


@pytest.fixture
def worker() -> WorkerProcess:
    """A worker process that is alive and busy."""
    return WorkerProcess.objects.create(
        name="w-1",
        host="depot-7",
        pid=4242,
        version="1.0",
        queues=["video_queue"],
        subscriptions={"video_queue": {"transcode": ["video.upload"]}},
        threads=4,
        busy=3,
        in_hand=17,
        memory=96 * 1024 * 1024,
    )


@pytest.fixture
def ada(client):
    """Somebody who may view everything, and stop workers."""
    user = admin_site.staff("ada", *admin_site.views(), "stop_workerprocess")
    client.force_login(user)
    return user


def shown(client, address: str) -> str:
    """A page, with every run of white space as one space."""
    html = client.get(address).content.decode()
    assert admin_site.Forbidden(html).found == []
    return " ".join(html.split()).replace("\xa0", " ")


def running(by: WorkerProcess, number: int, **more: object) -> Delivery:
    """A delivery that a worker runs, since so many seconds ago."""
    given = {"event_id": f"e-{number}", "subscription": "transcode", "state": "running",
             "worker": by.name, "errors": [], "attempts": 0,
             "started_at": datetime.now(UTC) - timedelta(seconds=number)}  # fmt: skip
    return admin_site.delivery(**{**given, **more})


def test_the_list_shows_who_does_what(client, ada, worker, django_assert_max_num_queries):
    """Host, process, queues, threads, what it holds, memory; by sign and word whether it lives."""
    for number in range(30):
        silent = datetime.now(UTC) - timedelta(hours=number)
        WorkerProcess.objects.create(
            name=f"w{number}", host="h", pid=number, version="1", threads=4, seen_at=silent
        )

    with django_assert_max_num_queries(15):
        html = shown(client, page(WorkerProcess))

    for words in ("depot-7", "4242", "video_queue", "3 of 4", "17", "96.0 MB", "✓</span> alive",
                  "✕</span> silent for 29 h", "? of 4"):  # fmt: skip
        assert words in html, words


def test_a_workers_page_shows_what_it_runs(client, ada, worker, django_assert_max_num_queries):
    """Its running deliveries, the oldest first; nobody else's, and nothing that has ended."""
    young, old = running(worker, 5), running(worker, 600)
    others = running(worker, 7, worker="w-2")
    ended = running(worker, 8, state="dead")

    with django_assert_max_num_queries(15):
        html = shown(client, page(worker, "change"))

    assert html.index(page(old, "change")) < html.index(page(young, "change"))
    assert "10 min 0 s" in html
    assert page(others, "change") not in html
    assert page(ended, "change") not in html


@pytest.mark.parametrize("action", ["stop", "restart"])
def test_a_worker_is_asked_once_and_it_is_recorded(client, ada, worker, run_subscribers, action):
    """The row says what is asked of it and by whom; so does the audit log."""
    assert "1 process is asked to" in told(act(client, action, worker))[0]
    assert "asked before" in told(act(client, action, worker))[0]

    worker.refresh_from_db()
    actor = f"auth.user:{ada.pk} (ada)"
    assert (worker.order, worker.ordered_by) == (action, actor)
    assert f"by {actor}" in shown(client, page(WorkerProcess))
    response = client.get(page(worker, "change"))
    assert [name for name, _ in response.context["row_actions"]] == [
        each for each in ("restart", "stop") if each != action
    ]
    run_subscribers()
    entry = AuditLog.objects.get()
    what = {"stop": "stopped", "restart": "restarted"}[action]
    assert (entry.routing_key, entry.actor) == (f"taskrouting.operator.{what}", actor)
    assert entry.data == {"worker": "w-1", "host": "depot-7", "pid": 4242}


def test_one_who_is_gone_is_asked_for_nothing(worker):
    """Nothing is told of what nobody will do."""
    gone = WorkerProcess.objects.get()
    worker.delete()

    assert not operators.stop(gone, actor="ada")


def test_who_is_silent_is_asked_for_nothing(client, ada, worker):
    """It would not hear it."""
    WorkerProcess.objects.update(seen_at=datetime.now(UTC) - timedelta(hours=1))

    assert client.get(page(worker, "change")).context["row_actions"] == []
    assert "silent or gone" in told(act(client, "stop", worker))[0]
    assert WorkerProcess.objects.get().order == ""
