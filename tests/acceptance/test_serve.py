"""Does ``make serve`` bring up the site and a worker, and take both down?"""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from project.demo.browser import Browser
from tests import example
from tests.waiting import wait_until


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with a database and files of this test's own."""
    database = f"sqlite:///{tmp_path / 'site.sqlite3'}"
    return example.environment(DATABASE_URL=database, MEDIA_ROOT=str(tmp_path / "media"))


def test_serve_runs_the_site_with_a_worker_until_it_is_told_to_stop(
    tmp_path: Path, env: dict[str, str]
) -> None:
    """Who logs in as it says can upload a video, which is worked on; Ctrl-C ends all, with 0."""
    address = f"127.0.0.1:{example.free_port()}"
    video = example.draw(tmp_path / "video.mp4")
    with example.running("serve", address, log=tmp_path / "log", env=env) as serve:
        assert serve.wait_for(r"Log in as:  (admin \(password admin\))")
        assert address in serve.said
        origin = f"http://{address}/"
        wait_until(lambda: example.answers(origin), timeout=60, message="the site")
        browser = Browser(origin)
        browser.submit("login/", {"username": "admin", "password": "admin"})
        page = browser.submit("upload/", {"title": ""}, {"file": video})
        wait_until(
            lambda: browser.get(page.url).find(r'class="state (\w+)"') == "ready",
            timeout=60,
            message="the video",
        )
        serve.process.send_signal(signal.SIGINT)
        assert serve.process.wait(60) == 0, serve.said
    assert not example.answers(origin)
    assert "Both have stopped." in serve.said


def test_serve_says_which_of_the_two_has_ended_and_fails(
    tmp_path: Path, env: dict[str, str]
) -> None:
    """A port that is taken is the usual case; the worker is stopped too."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with example.running("serve", address, log=tmp_path / "log", env=env) as serve:
            assert serve.process.wait(60) == 1
    assert "port is already in use" in serve.said
    assert "The web server ended by itself (exit code 1)." in serve.said
    assert "Worker" in serve.said.partition("stopped")[0]


def test_serve_makes_no_user_outside_of_debug(tmp_path: Path, env: dict[str, str]) -> None:
    """A password that everybody knows is for your own machine only."""
    address = f"127.0.0.1:{example.free_port()}"
    env = {**env, "DEBUG": "0"}
    with example.running("serve", address, log=tmp_path / "log", env=env) as serve:
        serve.wait_for("Ctrl-C stops both")
        assert "Log in as" not in serve.said
