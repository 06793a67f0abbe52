"""Does a page of the example site update itself, in a real browser?"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import example
from tests.browser.browsing import PATIENCE, log_in, upload

pytestmark = pytest.mark.browser


def test_the_page_of_a_video_becomes_ready_by_itself(
    page: Page, site: example.Site, tmp_path: Path
) -> None:
    """State, player, notes and story arrive without a reload, and a reader hears of it."""
    upload(page, example.draw(tmp_path / "video.mp4"))
    expect(page.locator(".about .state")).to_have_text("Uploaded")
    page.evaluate("window.stays = true")
    site.work()
    expect(page.locator(".about .state")).to_have_text("Ready", timeout=PATIENCE)
    expect(page.locator("video")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("video: Ready.")
    expect(page.locator(".event code").nth(0)).to_have_text("video.upload", timeout=PATIENCE)
    expect(page.get_by_text("caused by video.upload")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("window.stays")


def test_a_video_plays_on_while_the_list_around_it_changes(
    page: Page, site: example.Site, tmp_path: Path
) -> None:
    """Only the cards that changed are replaced, and a new one takes its place at the top."""
    upload(page, example.draw(tmp_path / "first.mp4"))
    site.work()
    upload(page, example.draw(tmp_path / "second.mp4"))
    page.goto("")
    first = page.locator("article", has_text="first")
    second = page.locator("article", has_text="second")
    expect(second.locator(".state")).to_have_text("Uploaded")
    first.locator("video").evaluate("video => { video.stays = true }")
    upload(page.context.new_page(), example.draw(tmp_path / "third.mp4"))
    expect(page.locator("article").first).to_contain_text("third", timeout=PATIENCE)
    site.work()
    expect(second.locator(".state")).to_have_text("Ready", timeout=PATIENCE)
    assert first.locator("video").evaluate("video => video.stays")


def test_a_page_asks_only_while_it_waits_and_is_looked_at(
    page: Page, site: example.Site, tmp_path: Path
) -> None:
    """It asks every second for a video that is not ready, but not in a hidden tab."""
    upload(page, example.draw(tmp_path / "video.mp4"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.install()
    page.reload()
    expect_a_question_within_a_second(page)
    page.evaluate(HIDE, True)
    assert asked_within_a_minute(page, asked) == []
    page.evaluate(HIDE, False)
    expect_a_question_within_a_second(page)
    site.work()
    page.reload()
    expect(page.locator(".about .state")).to_have_text("Ready")
    assert asked_within_a_minute(page, asked) == []


#: Put the page's tab to the back, or to the front again, as the page hears of it.
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def expect_a_question_within_a_second(page: Page) -> None:
    """Let a second of the page's time pass, in which it asks for its fragment."""
    with page.expect_response("**/fragment/"):
        page.clock.run_for(1000)


def asked_within_a_minute(page: Page, asked: list[str]) -> list[str]:
    """Let a minute of the page's time pass; return what it asked for."""
    asked.clear()
    page.clock.run_for(60_000)
    page.evaluate("fetch('/static/media/icon.svg')")  # whatever was asked before has been heard of
    return [url for url in asked if "fragment" in url]


def test_a_page_shows_how_a_video_is_without_scripts(
    chromium: Browser, site: example.Site, tmp_path: Path
) -> None:
    """Without JavaScript the page loads itself anew while there is something to wait for."""
    with chromium.new_context(base_url=site.origin, java_script_enabled=False) as context:
        page = context.new_page()
        log_in(page)
        upload(page, example.draw(tmp_path / "video.mp4"))
        site.work()
        expect(page.locator(".about .state")).to_have_text("Ready", timeout=PATIENCE)
