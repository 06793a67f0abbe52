"""What do people do with a browser here? Log in, upload, look; and is what they see in order?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests import example

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""

#: Without these it asks its maker's servers for things, which a test has no business with.
QUIET = (
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

#: Milliseconds that a page may take to show what has happened.
PATIENCE = 30_000

#: The settings of the site: its own, and a policy that forbids whatever is inline.
STRICT = "tests.browser.strict"

#: Findings of the accessibility checker that stand in somebody's way.
GRAVE = ("serious", "critical")

AXE = Axe()

#: All that it can find but one thing: it takes no picture for a label, though Django's magnifying
#: glass beside the search box is called "Search". Loading style sheets anew is left out, for the
#: policy forbids what it does with them.
THOROUGH = {
    "resultTypes": ["violations"],
    "rules": {"label-title-only": {"enabled": False}},
    "preload": False,
}

#: What it can find anew where nothing but the colours has changed.
COLOURS = {**THOROUGH, "runOnly": ["color-contrast", "link-in-text-block"]}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window, while the block runs."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(QUIET), chromium_sandbox=False
        )
        yield browser
        browser.close()


def log_in(page: Page) -> None:
    """Log in as the superuser."""
    page.goto("login/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(example.PASSWORD)
    page.get_by_role("button", name="Log in").click()


def upload(page: Page, video: Path) -> None:
    """Upload a video as people do."""
    page.goto("upload/")
    page.get_by_label("Video file").set_input_files(video)
    page.get_by_role("button", name="Upload").click()


def complaints(page: Page) -> list[str]:
    """A list to which is added whatever goes wrong on ``page`` from now on."""
    wrong: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            wrong.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    return wrong


def barriers(page: Page, looked_for: dict[str, Any] = THOROUGH) -> list[str]:
    """What stands in the way of people who see, hear or move otherwise, as axe finds it."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.axe_script)
    found: list[dict[str, Any]] = page.evaluate(f"axe.run({json.dumps(looked_for)})")["violations"]
    return [
        f"{finding['id']}: {node['html'][:200]} ({node['failureSummary']})"
        for finding in found
        if finding["impact"] in GRAVE
        for node in finding["nodes"]
    ]


def is_too_wide(page: Page) -> bool:
    """Say whether the page as a whole scrolls sideways."""
    return bool(page.evaluate("document.scrollingElement.scrollWidth > window.innerWidth"))
