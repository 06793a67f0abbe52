"""Can somebody who runs a site find out what happened, and do something about it, in the admin?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import example
from tests.browser import browsing
from tests.browser.browsing import PATIENCE, upload
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

ADMIN = "admin/taskrouting"

#: As at a desk and as on a phone, each by day and by night, when nothing but the colours changes.
WIDTHS = (1280, 390)
SCHEMES: dict[Literal["light", "dark"], dict[str, Any]] = {
    "light": browsing.THOROUGH,
    "dark": browsing.COLOURS,
}

#: Let links arrive at the colours that they fade to when the scheme changes.
SETTLE = "document.getAnimations().forEach(each => each.finish())"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[example.Site]:
    """A site with a worker beside it."""
    folder = tmp_path_factory.mktemp("site")
    with (
        example.site(folder, DJANGO_SETTINGS_MODULE=browsing.STRICT) as site,
        example.running("run_router_worker", log=folder / "worker.log", env=site.env) as worker,
    ):
        worker.wait_for("started|ready|consum")
        yield site


def state_of(page: Page) -> Locator:
    """The state of a video on its page, which keeps itself up to date."""
    return page.locator(".about .state")


def upload_something_broken(page: Page, broken: Path) -> None:
    """Upload a file that is no video, whatever its name says, and wait for the verdict."""
    broken.write_bytes(b"This is not a video.")
    upload(page, broken)
    expect(state_of(page)).to_have_text("Failed", timeout=PATIENCE)


def open_story(page: Page, title: str, routing_key: str) -> None:
    """Go from a video's page in the admin to what happened to it, and to one event of that."""
    page.goto("admin/media/video/")
    page.get_by_role("link", name=title, exact=True).first.click()
    page.get_by_role("main").get_by_role("link", name="Events", exact=True).click()
    event = page.locator("#result_list tr", has_text=routing_key).last
    event.locator(".field-brief_event a").click()


def delivery(page: Page, subscription: str) -> Locator:
    """The line of a story that says how a subscription fared."""
    section = page.locator("section", has=page.get_by_role("heading", name="Its deliveries"))
    table = section.locator("table").first
    return table.locator("tr", has=page.get_by_role("link", name=subscription, exact=True))


def reloaded_until(page: Page, shown: Locator, text: str) -> None:
    """Load a page anew until it shows what a worker is about to do."""

    def is_there() -> bool:
        page.reload()
        return text in shown.inner_text()

    wait_until(is_there, timeout=PATIENCE / 1000, message=f"“{text}” on {page.url}")


def test_the_story_of_a_video_is_two_clicks_away(page: Page, tmp_path: Path) -> None:
    """From the video in the admin to its event: who, where and why, and what became of it."""
    upload(page, example.draw(tmp_path / "holiday.mp4"))
    expect(state_of(page)).to_have_text("Ready", timeout=PATIENCE)

    open_story(page, "holiday", "video.upload")

    expect(page.get_by_text("POST /upload/", exact=True)).to_be_visible()
    expect(delivery(page, "transcode")).to_contain_text("handled")
    expect(delivery(page, "remember")).to_contain_text("handled")
    expect(page.get_by_role("img", name="When what happened")).to_be_visible()
    page.locator(".taskrouting-tree").get_by_role("link", name="video.ready").click()
    expect(page.get_by_text("None: a handler published it.")).to_be_visible()


def test_what_failed_is_redriven_until_it_is_handled(
    page: Page, site: example.Site, tmp_path: Path
) -> None:
    """A dead letter says why; redriven too early it dies again, and once mended it is handled."""
    upload_something_broken(page, tmp_path / "wedding.mp4")
    video = page.url

    open_story(page, "wedding", "video.upload")
    story = page.url
    expect(delivery(page, "transcode")).to_contain_text("dead")
    redrive(page)
    page.goto(story)
    reloaded_until(page, page.locator("#content"), "redriven")
    reloaded_until(page, delivery(page, "transcode"), "dead")

    [file] = site.media.glob("uploads/*/wedding.mp4")
    example.draw(file)
    redrive(page)
    page.goto(story)
    reloaded_until(page, delivery(page, "transcode"), "handled")
    page.goto(video)
    expect(state_of(page)).to_have_text("Ready")


def redrive(page: Page) -> None:
    """Open the dead letter of a story that is open still, and send it round again."""
    letters = page.locator("tr", has_text="open")
    letters.get_by_role("link", name=re.compile("reject", re.IGNORECASE)).click()
    page.get_by_role("button", name="Redrive").click()
    expect(page.get_by_text("1 dead letter redriven.")).to_be_visible()


def test_all_that_died_of_one_cause_go_round_again(page: Page, tmp_path: Path) -> None:
    """From their group, after a look at how many they are; the page says how far it is."""
    upload_something_broken(page, tmp_path / "parade.mp4")
    upload_something_broken(page, tmp_path / "regatta.mp4")

    sweep_all(page)
    expect(page.get_by_role("status")).to_contain_text("finished", timeout=PATIENCE)
    assert int(page.locator("[data-figure=succeeded]").inner_text()) >= 2


def sweep_all(page: Page) -> None:
    """Redrive the most frequent kind of dead letters, whatever they died of."""
    page.goto(f"{ADMIN}/deadletter/groups/")
    page.get_by_role("link", name=re.compile("^Redrive")).first.click()
    page.get_by_role("button", name=re.compile("^Redrive")).click()


def test_a_queue_that_rests_is_told_wherever_one_looks(page: Page) -> None:
    """Paused on one page, it is said there and on the dashboard, until it is resumed."""
    page.goto(f"{ADMIN}/topology/")
    row = page.locator(".taskrouting-queues tr", has_text="video_queue")
    row.get_by_text("Pause…").click()
    row.get_by_label("Why").fill("the disk is full")
    row.get_by_role("button", name="Pause video_queue").click()

    expect(page.get_by_text("Queue video_queue is paused.")).to_be_visible()
    expect(row).to_contain_text("‖ paused")
    expect(row).to_contain_text("the disk is full")
    page.goto(f"{ADMIN}/dashboard/")
    workers = page.locator(".taskrouting-part", has_text="Workers")
    expect(workers).to_contain_text("An operator lets video_queue rest.")

    page.goto(f"{ADMIN}/topology/")
    row.get_by_role("button", name="Resume video_queue").click()
    expect(page.get_by_text("Queue video_queue is resumed.")).to_be_visible()
    expect(row).to_contain_text("✓ consumed")
    page.goto(f"{ADMIN}/dashboard/")
    expect(workers).not_to_contain_text("rest")


def test_the_dashboard_brings_itself_up_to_date(page: Page, tmp_path: Path) -> None:
    """What is handled meanwhile appears without a reload."""
    page.goto(f"{ADMIN}/dashboard/")
    page.evaluate("window.stays = true")
    letters = page.locator(".taskrouting-card", has_text="Open dead letters")
    before = int(letters.locator(".taskrouting-value").inner_text())
    upload_something_broken(page.context.new_page(), tmp_path / "concert.mp4")
    expect(letters.locator(".taskrouting-value")).to_have_text(str(before + 1), timeout=PATIENCE)
    assert page.evaluate("window.stays")


@pytest.fixture
def pages(page: Page, site: example.Site, tmp_path: Path) -> list[str]:
    """Every page of ours, each with something to show."""
    upload_something_broken(page, tmp_path / "broken.mp4")
    open_story(page, "broken", "video.upload")
    story = page.url
    link = page.get_by_role("link", name=re.compile("^[0-9a-f-]{36}$")).first
    conversation = str(link.get_attribute("href"))
    lists = ["auditlog", "deadletter", "delivery", "message", "binding", "workerprocess", "sweep"]
    # Before the sweep, which redrives the dead letters: for a moment none is open.
    rows = [first_of(page, each) for each in lists if each not in ("message", "binding", "sweep")]
    sweep_all(page)
    rows.append(first_of(page, "sweep"))
    return [
        *(f"{ADMIN}/{each}/" for each in ["dashboard", "event", "topology", *lists]),
        f"{ADMIN}/dashboard/?range=24h&queue=video_queue",
        f"{ADMIN}/topology/?key=video.upload&pattern=video.%23",
        story,
        conversation,
        f"{ADMIN}/event/no-such-event/",
        f"{ADMIN}/deadletter/groups/",
        f"{ADMIN}/deadletter/sweep/?deed=discard",
        f"{ADMIN}/auditlog/?q=key:video.%23",
        f"{ADMIN}/auditlog/export/?q=key:video.%23",
        *rows,
    ]


def first_of(page: Page, table: str) -> str:
    """The address of the first row of a list."""
    page.goto(f"{ADMIN}/{table}/")
    link = page.locator("#result_list tbody th a").first
    return str(link.get_attribute("href"))


def test_no_page_shuts_anybody_out(page: Page, pages: list[str]) -> None:
    """At a desk and on a phone, by day and by night: readable, operable, and no wider than that."""
    found = []
    for address in pages:
        page.goto(address)
        found += looked_at(page)
    page.goto(first_of(page, "deadletter"))
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_label("Reason")).to_be_visible()
    found += looked_at(page)
    assert found == []


def looked_at(page: Page) -> list[str]:
    """Look at a page in every light and width; return what is wrong with it."""
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if browsing.is_too_wide(page):
            found.append(f"{page.url} is wider than {width} pixels")
        for scheme, looked_for in SCHEMES.items():
            page.emulate_media(color_scheme=scheme)
            page.evaluate(SETTLE)
            barriers = browsing.barriers(page, looked_for)
            found += [f"{page.url} {width} {scheme}: {each}" for each in barriers]
    return found
