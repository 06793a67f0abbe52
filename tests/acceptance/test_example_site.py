"""Does the example site do what its pages say? Asked over HTTP, with a worker in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from project.demo.browser import Browser, Page
from tests import example


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[example.Site]:
    """The site these tests share."""
    with example.site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def browser(site: example.Site) -> Browser:
    """A browser in which the superuser is logged in."""
    return site.admin()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that is worked on in no time."""
    return example.draw(tmp_path_factory.mktemp("video") / "a_small_video.mp4")


def upload(browser: Browser, path: Path, title: str = "") -> Page:
    """Upload a video; return the page that it leads to."""
    return browser.submit("upload/", {"title": title}, {"file": path})


def part(url: str, wanted: str) -> tuple[int, str, bytes]:
    """Ask for a part of a file; return the status, what it is said to be, and the bytes."""
    request = Request(url, headers={"Range": wanted})  # noqa: S310
    with urlopen(request, timeout=10) as answer:  # noqa: S310
        return answer.status, answer.headers["Content-Range"], answer.read()


def test_uploading_needs_a_login(site: example.Site) -> None:
    """A stranger is led to the login, and back from there."""
    page = site.visitor().get("upload/")
    assert page.url.endswith("/login/?next=/upload/")


def test_a_wrong_password_is_said(site: example.Site) -> None:
    """The login page says so and does not let in."""
    page = site.visitor().submit("login/", {"username": "admin", "password": "wrong"})
    assert page.errors
    assert "Log out" not in page.text


def test_a_video_is_uploaded_worked_on_and_shown(site: example.Site, browser: Browser) -> None:
    """The page says that it waits, then has a player, a poster and the story of both events."""
    waiting = upload(browser, example.SAMPLE, "A big rabbit")
    assert waiting.find(r'class="state (\w+)"') == "uploaded"
    for page in (waiting, browser.get("")):
        assert "data-waiting" in page.text
        assert '<noscript><meta http-equiv="refresh"' in page.text
    site.work()
    page = browser.get(waiting.url)
    assert page.find(r'class="state (\w+)"') == "ready"
    assert "data-waiting" not in page.text
    assert "1280 × 720, h264" in page.text
    assert "Ready to watch: 5.3 seconds, 1280 × 720, h264." in page.text
    assert "caused by <code>video.upload</code>" in page.text
    assert "transcode: handled" in page.text
    assert browser.get(page.find(r'href="(/admin/taskrouting/auditlog/\d+/change/)"')).status == 200
    assert browser.get(page.find(r'poster="([^"]+)"')).body[:3] == b"\xff\xd8\xff"
    assert browser.get(page.find(r'<source src="([^"]+)"')).body[4:8] == b"ftyp"
    assert "A big rabbit" in site.visitor().get("").text


def test_a_title_is_taken_from_the_file_where_none_was_given(browser: Browser, video: Path) -> None:
    """Nobody has to think of one."""
    assert upload(browser, video).find("<h1>(.*)</h1>") == "a small video"


def test_a_player_can_jump(site: example.Site, browser: Browser, video: Path) -> None:
    """Parts of a file are sent as asked for, and a part that is not there is refused."""
    page = upload(browser, video)
    site.work()
    address = browser.get(page.url).find(r'<source src="([^"]+)"')
    whole = browser.get(address).body
    url = site.origin.rstrip("/") + address
    size = len(whole)
    assert part(url, "bytes=100-199") == (206, f"bytes 100-199/{size}", whole[100:200])
    assert part(url, f"bytes={size - 5}-") == (
        206,
        f"bytes {size - 5}-{size - 1}/{size}",
        whole[-5:],
    )
    assert part(url, "bytes=-7") == (206, f"bytes {size - 7}-{size - 1}/{size}", whole[-7:])
    assert part(url, "bytes=0-999999999")[2] == whole
    assert part(url, "lines=1-2") == (200, None, whole)
    with pytest.raises(OSError, match="416"):
        part(url, f"bytes={size}-")


def test_a_file_that_is_no_video_fails_with_the_reason_on_its_page(
    site: example.Site, browser: Browser, tmp_path: Path
) -> None:
    """The one who sent it reads why; the event is dead and video.failed is on record."""
    letter = tmp_path / "holiday.mp4"
    letter.write_text("Dear diary,\n" * 100)
    page = upload(browser, letter)
    site.work()
    page = browser.get(page.url)
    assert page.find(r'class="state (\w+)"') == "failed"
    assert "This file is not a video" in page.find(r'<p class="error">(.*)</p>')
    assert "video.failed" in page.text
    assert "transcode: dead" in page.text
    assert "This file is not a video" in browser.get("").text


HANDLED_BY_A_WORKER_THAT_DIED = """
from project.media.subscribers import transcode
from taskrouting import Reject, events
from taskrouting.models import Message
uploads = Message.objects.filter(queue="video_queue", routing_key="video.upload")
waiting = uploads.latest("pk")
event = events.decode(
    bytes(waiting.body), content_type=waiting.content_type, headers={}, properties={},
    routing_key="video.upload", exchange="media_exchange",
)
try:
    transcode(event)
except Reject:
    pass
else:
    raise AssertionError("it was taken for a video")
"""

TOLD_ONCE = """
from project.media.models import Note
from taskrouting.models import AuditLog, Delivery
failed = AuditLog.objects.get(routing_key="video.failed", subject="media.video/KEY")
assert Delivery.objects.filter(event_id=failed.event_id).count() == 1
assert Note.objects.filter(text__startswith="It cannot be shown", video="KEY").count() == 1
"""


def test_what_a_worker_told_before_it_died_is_not_told_twice(
    site: example.Site, browser: Browser, tmp_path: Path
) -> None:
    """Between a handler's last commit and the record of its outcome anybody may die."""
    letter = tmp_path / "holiday.mp4"
    letter.write_text("Dear diary")
    page = upload(browser, letter)
    site.python(HANDLED_BY_A_WORKER_THAT_DIED)
    site.work()
    site.python(TOLD_ONCE.replace("KEY", page.url.rstrip("/").rpartition("/")[2]))


def test_the_icon_is_where_browsers_look_for_it(site: example.Site) -> None:
    """Pages without a link to it, as the admin's are, leave no 404 in the log."""
    assert b"<svg" in site.visitor().get("favicon.ico").body


TOPOLOGY = """
from taskrouting.models import Binding
from taskrouting.routing import topology
implied = topology.current()
bound = sorted((each.pattern, each.queue) for each in implied.bindings)
assert bound == [("#", "audit_queue"), ("video.#", "video_queue")], bound
assert implied.exchange == "media_exchange", implied.exchange
stored = set(Binding.objects.filter(exchange="media_exchange").values_list("pattern", "queue"))
assert stored == set(bound), stored
"""


def test_the_queues_are_bound_as_the_code_says_and_to_nothing_else(site: example.Site) -> None:
    """What the narrower subscriptions of a queue want is not bound beside what covers it."""
    site.work()
    site.python(TOPOLOGY)


LAST_ATTEMPT = """
from datetime import timedelta
from django.utils import timezone
from taskrouting import Event, signals
signals.emit(
    signals.delivery_finished, Event,
    event=Event(
        id="1", type="video.upload", source="project", time=timezone.now(), data={"video": "KEY"}
    ),
    subscription="transcode", queue="video_queue", attempt=5, outcome="dead",
    duration=timedelta(), error=OSError("No space left on device"),
)
"""


def test_a_video_that_we_cannot_work_on_does_not_wait_for_ever(
    site: example.Site, browser: Browser, video: Path
) -> None:
    """When the last attempt has failed, the page says that it is not the file's fault."""
    page = upload(browser, video)
    key = page.url.rstrip("/").rpartition("/")[2]
    (site.media / "uploads" / key / video.name).unlink()
    assert "FileNotFoundError" in site.work()
    assert browser.get(page.url).find(r'class="state (\w+)"') == "processing"
    site.python(LAST_ATTEMPT.replace("KEY", key))
    page = browser.get(page.url)
    assert page.find(r'class="state (\w+)"') == "failed"
    assert "It is not your file." in page.find(r'<p class="error">(.*)</p>')


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("notes.txt", b"words", "not allowed"), ("empty.mp4", b"", "empty")],
)
def test_a_file_that_cannot_be_a_video_is_refused_at_once(
    name: str, content: bytes, reason: str, browser: Browser, tmp_path: Path
) -> None:
    """The form says why, and no video is made."""
    path = tmp_path / name
    path.write_bytes(content)
    page = upload(browser, path)
    assert page.url.endswith("/upload/")
    assert reason in " ".join(page.errors)


def test_what_people_uploaded_is_not_served(
    site: example.Site, browser: Browser, video: Path
) -> None:
    """Only what was made from it is, whatever way somebody writes the address."""
    upload(browser, video)
    stored = next((site.media / "uploads").rglob("*.mp4")).relative_to(site.media)
    for address in (f"media/{stored}", f"media/posters/..%2F{stored}", "media/posters/../../x.jpg"):
        assert browser.get(address).status == 404


def test_deleting_a_video_deletes_its_files(
    site: example.Site, browser: Browser, video: Path
) -> None:
    """The row goes with the click, the files once the event of its deletion arrives."""
    page = upload(browser, video)
    site.work()
    key = page.url.rstrip("/").rpartition("/")[2]
    made = [path for path in site.media.rglob("*") if path.is_file() and key in str(path)]
    assert len(made) == 3
    browser.submit(f"admin/media/video/{key}/delete/", {"post": "yes"})
    assert browser.get(page.url).status == 404
    site.work()
    assert not [path for path in site.media.rglob("*") if key in str(path)]


def test_a_video_deleted_before_its_turn_is_left_alone(
    site: example.Site, browser: Browser, video: Path
) -> None:
    """There is nothing to do for it, and nothing for an operator to look at."""
    page = upload(browser, video)
    key = page.url.rstrip("/").rpartition("/")[2]
    browser.submit(f"admin/media/video/{key}/delete/", {"post": "yes"})
    said = site.work()
    assert "dead" not in said.lower()
    assert not [path for path in site.media.rglob("*") if key in str(path)]


def test_the_site_works_with_a_transaction_around_each_request(tmp_path: Path, video: Path) -> None:
    """ATOMIC_REQUESTS: the events of a request commit with it."""
    with example.site(tmp_path, DJANGO_SETTINGS_MODULE="tests.atomic_settings") as running:
        browser = running.admin()
        page = upload(browser, video)
        running.work()
        assert browser.get(page.url).find(r'class="state (\w+)"') == "ready"
