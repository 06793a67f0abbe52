"""What do the browser's tests share? A site with a strict policy, a browser, and a page on both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests import example, services
from tests.browser import browsing


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[example.Site]:
    """The site that the tests of a file share."""
    folder = tmp_path_factory.mktemp("site")
    with example.site(folder, DJANGO_SETTINGS_MODULE=browsing.STRICT) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window; while it is there, an event loop runs in this thread."""
    if not browsing.CHROMIUM:
        services.unavailable("Chromium", "chromium", "not installed here")
    with browsing.chromium() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser, site: example.Site) -> Iterator[Page]:
    """A page on which the superuser has logged in; what goes wrong on it fails the test."""
    with chromium.new_context(base_url=site.origin) as context:
        page = context.new_page()
        wrong = browsing.complaints(page)
        browsing.log_in(page)
        yield page
        assert not wrong
