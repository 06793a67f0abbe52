"""What do the main screens look like? ``python -m tests.browser.screenshots`` makes their pictures.

A site with a worker is used for some minutes as people use it, with videos that are none among
them; then its pages are photographed into ``docs/images``.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize

from project.demo.browser import Browser as Visitor
from tests import example
from tests.browser import browsing
from tests.waiting import wait_until

IMAGES = example.ROOT / "docs" / "images"
ADMIN = "admin/taskrouting"
WIDTH, HEIGHT = 1280, 800

#: The pictures of tables.
TABLES = {"workers": "workerprocess", "dead-letters": "deadletter", "audit-log": "auditlog"}

#: Colours that a picture keeps: text and lines need no more, and the file is a third as large.
COLOURS = 128

TITLES = ("harbour", "wedding", "first steps", "lighthouse", "garden", "concert", "snow", "ferry")


#: Nothing but the page itself: the admin's list of tables is closed.
CLOSED = "localStorage.setItem('django.admin.navSidebarIsOpen', 'false')"


def main() -> None:
    """Use a site for a while, and photograph it."""
    parser = argparse.ArgumentParser(description="Make the pictures of the admin's pages anew.")
    parser.add_argument("--minutes", type=float, default=6, help="how long the site is used before")
    minutes = parser.parse_args().minutes
    with (
        tempfile.TemporaryDirectory(prefix="site-") as name,
        browsing.chromium() as browser,
        running_site(Path(name)) as site,
    ):
        lose_a_file(site)
        use(site, minutes)
        dashboards(site, browser)
        with logged_in(site, browser, "light") as page:
            lists(page)
            story(page)
            rest(site, page)
            topology(page)


@contextmanager
def running_site(folder: Path) -> Iterator[example.Site]:
    """A site with two worker processes beside it."""
    worker = ("run_router_worker", "--processes", "2")
    with (
        example.site(folder, DJANGO_SETTINGS_MODULE=browsing.STRICT) as site,
        example.running(*worker, log=folder / "worker.log", env=site.env),
    ):
        example.draw(folder / "video.mp4")
        (folder / "broken.mp4").write_bytes(b"This is not a video.")
        yield site


def folder_of(site: example.Site) -> Path:
    """Where the worker's log is, and the videos to upload."""
    return site.media.parent


def send(visitor: Visitor, site: example.Site, title: str, name: str = "video.mp4") -> None:
    """Upload a video."""
    page = visitor.submit("upload/", {"title": title}, {"file": folder_of(site) / name})
    assert not page.errors, page.errors


def use(site: example.Site, minutes: float) -> None:
    """Upload videos for so long, and now and then a file that is none."""
    dice = random.Random(7)  # noqa: S311  # dice, no secrets
    visitor, quiet = site.admin(), threading.Event()
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        for _ in range(dice.randint(1, 6)):
            name = "broken.mp4" if dice.random() < 0.03 else "video.mp4"
            send(visitor, site, dice.choice(TITLES), name)
        quiet.wait(dice.uniform(0.2, 4))


def lose_a_file(site: example.Site) -> None:
    """Let a file be away when it is first looked for, so that the attempt fails and is repeated."""
    manage(site, "pause_queue", "video_queue")
    wait_for(site, "is paused", times=2)
    send(site.admin(), site, "the ferry comes in")
    [file] = site.media.glob("uploads/*/*.mp4")
    away = file.rename(file.with_suffix(".away"))
    manage(site, "resume_queue", "video_queue")
    wait_for(site, "FileNotFoundError")
    away.rename(file)


def rest(site: example.Site, page: Page) -> None:
    """Pause a queue as an operator does, and let something arrive there."""
    page.goto(f"{ADMIN}/topology/")
    row = page.locator(".taskrouting-queues tr", has_text="video_queue")
    row.get_by_text("Pause…").click()
    row.get_by_label("Why").fill("the disk is full")
    row.get_by_role("button", name="Pause video_queue").click()
    wait_for(site, "is paused", times=4)
    visitor = site.admin()
    for title in TITLES:
        send(visitor, site, title)


def wait_for(site: example.Site, words: str, times: int = 1) -> None:
    """Wait until the workers have said it so many times."""
    log = folder_of(site) / "worker.log"
    wait_until(lambda: log.read_text().count(words) >= times, timeout=30, message=words)


def manage(site: example.Site, *arguments: str) -> None:
    """Run a command of the site."""
    done = example.manage(*arguments, env=site.env)
    assert done.returncode == 0, done.stdout


@contextmanager
def logged_in(
    site: example.Site, browser: Browser, scheme: Literal["light", "dark"]
) -> Iterator[Page]:
    """A page on which the superuser has logged in."""
    size = ViewportSize(width=WIDTH, height=HEIGHT)
    with browser.new_context(base_url=site.origin, viewport=size, color_scheme=scheme) as context:
        context.add_init_script(CLOSED)
        page = context.new_page()
        browsing.log_in(page)
        yield page


def dashboards(site: example.Site, browser: Browser) -> None:
    """Make the pictures of the dashboard, for light pages and for dark ones."""
    with logged_in(site, browser, "light") as page:
        page.goto(f"{ADMIN}/dashboard/")
        photograph(page, "dashboard")
    with logged_in(site, browser, "dark") as page:
        page.goto(f"{ADMIN}/dashboard/")
        photograph(page, "dashboard-dark")


def lists(page: Page) -> None:
    """Make the pictures of the tables."""
    for name, table in TABLES.items():
        page.goto(f"{ADMIN}/{table}/")
        photograph(page, name, most=HEIGHT)


def story(page: Page) -> None:
    """Make the picture of an event's story, without what was in it, which is long."""
    page.goto("admin/media/video/?q=the+ferry+comes+in")
    page.get_by_role("link", name="the ferry comes in").click()
    page.get_by_role("main").get_by_role("link", name="Events", exact=True).click()
    event = page.locator("#result_list tr", has_text="video.upload")
    event.locator(".field-brief_event a").click()
    page.locator(".taskrouting-story", has_text="What was in it").evaluate("each => each.remove()")
    photograph(page, "story")


def topology(page: Page) -> None:
    """Make the picture of what is routed where."""
    page.goto(f"{ADMIN}/topology/")
    photograph(page, "topology")


def photograph(page: Page, name: str, *, most: int = 2000) -> None:
    """Write a picture of the page, down to where it ends, or to ``most`` pixels."""
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    end = page.locator("#content").evaluate("each => each.getBoundingClientRect().bottom")
    page.set_viewport_size({"width": WIDTH, "height": min(round(end) + 10, most)})
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)


if __name__ == "__main__":
    main()
