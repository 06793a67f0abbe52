"""Where does a secret of an event turn up? In its bytes, and nowhere that people look."""

from __future__ import annotations

import logging
import zlib
from typing import Any

import pytest

from taskrouting import Batch, Discard, Reject, Retry, publish, subscribe
from taskrouting.audit import writer
from taskrouting.consuming import delivery, ledger
from taskrouting.models import DeadLetter, Delivery
from tests.integration import admin_site
from tests.integration.admin_site import page
from tests.integration.copies import arrival, site

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]

SECRET = "geheim-1234"
DATA: dict[str, Any] = {"user": {"name": "ana", "password": SECRET}}


def fail_with_secret(event):
    """Fail as code does that means no harm."""
    try:
        raise KeyError(event.data["user"]["password"])
    except KeyError as error:
        raise ValueError(f"no account {event.data['user']!r}") from error


def everything_kept() -> str:
    """What ledger and dead letters say about what happened."""
    rows = [*Delivery.objects.values_list("errors", "result"),
            *DeadLetter.objects.values_list("error", "note")]  # fmt: skip
    assert rows
    return repr(rows)


@pytest.mark.parametrize("effects", ["database", "external"])
@pytest.mark.parametrize("attempts", [1, 2])
def test_errors_are_kept_and_logged_without_secrets(caplog, run_subscribers, effects, attempts):
    """Messages and tracebacks of every attempt, in the ledger, the dead letter and the log."""
    caplog.set_level(logging.DEBUG)
    retry = Retry(max_attempts=attempts)
    subscribe("video.#", queue="q", name="a", effects=effects, retry=retry)(fail_with_secret)

    publish("video.upload", DATA)
    run_subscribers(wait_for_delays=True)

    assert len(Delivery.objects.get().errors) == attempts
    for text in (everything_kept(), caplog.text):
        assert SECRET not in text
        assert "no account" in text
    assert "KeyError" in DeadLetter.objects.get().error


def reject(event):
    """Reject with a reason that tells too much."""
    raise Reject(f"no account with {event.data['user']['password']}")


def discard(event):
    """Discard with a reason that tells too much."""
    raise Discard(f"no account with {event.data['user']['password']}")


@pytest.mark.parametrize("handler", [reject, discard])
def test_verdicts_are_kept_and_logged_without_secrets(caplog, run_subscribers, handler):
    """A reason is a text like any other."""
    subscribe("video.#", queue="q", name="a")(handler)

    publish("video.upload", DATA)
    run_subscribers()

    assert "no account with ••••••" in everything_kept()
    assert SECRET not in everything_kept() + caplog.text


def test_batches_fail_without_telling_secrets(caplog, run_subscribers, monkeypatch):
    """A batch of a user's, and the audit log, which has no ledger."""

    def fail(events):
        fail_with_secret(events[0])

    subscribe("video.#", queue="q", name="a", batch=Batch(), retry=Retry(max_attempts=1))(fail)
    monkeypatch.setattr(writer, "row_of", fail_with_secret)

    publish("video.upload", DATA)
    run_subscribers()

    assert DeadLetter.objects.count() == 2
    assert SECRET not in everything_kept() + caplog.text


def test_an_outcome_that_cannot_be_written_is_logged_without_secrets(
    caplog, run_subscribers, monkeypatch
):
    """The log has the traceback, in which a database may quote what it refused."""

    def refuse(*args, **kwargs):
        raise ValueError(f"DETAIL: Key (password)=({SECRET}) and {SECRET}")

    subscribe("video.#", queue="q", name="a", effects="external")(lambda event: None)
    monkeypatch.setattr(ledger, "succeed", refuse)

    publish("video.upload", DATA)
    run_subscribers()

    assert "runs again when its lease is over" in caplog.text
    assert "DETAIL: Key (password)=••••••" in caplog.text
    assert SECRET not in caplog.text


def test_what_is_no_event_is_described_without_secrets(caplog):
    """What the sentence quotes may be a secret by its name."""
    subscribe("video.#", queue="video_queue", name="a")(print)
    properties = {"message_id": {"password": SECRET}}

    delivery.deliver(arrival(b"{}", properties=properties), site()[0])

    assert "message_id" in everything_kept()
    assert SECRET not in everything_kept() + caplog.text


def test_what_we_stumble_over_ourselves_is_described_without_secrets(caplog, monkeypatch):
    """A traceback of our own code, kept and logged."""

    def stumble(*args, **kwargs):
        raise RuntimeError(f"{{'password': '{SECRET}'}}")

    monkeypatch.setattr(delivery, "decode", stumble)
    delivery.deliver(arrival(b"{}"), site()[0])

    assert "RuntimeError" in everything_kept()
    assert "RuntimeError" in caplog.text
    assert SECRET not in everything_kept() + caplog.text


def bodies() -> list[tuple[bytes, dict[str, Any]]]:
    """Bodies with a secret, readable, broken, in other encodings, and packed."""
    text = f'{{"title": "Bunny", "password": "{SECRET}"}}'
    return [
        (text.encode(), {}),
        (text.encode() + b"\xff", {}),
        (b"\x00" + text.encode(), {}),
        (text.encode("utf-16"), {}),
        (text[:-4].encode(), {}),
        (zlib.compress(text.encode()), {"compression": "application/x-gzip"}),
        (zlib.compress(text.encode())[:-2], {"compression": "application/x-gzip"}),
        (text.encode(), {"compression": "rar"}),
        (text.encode().ljust(5_000_000), {}),
        (("[" * 400 + f'{{"password": "{SECRET}"}}' + "]" * 400).encode(), {}),
    ]


@pytest.mark.parametrize(("body", "headers"), bodies())
def test_a_body_shows_no_secret_in_whatever_form_it_is(client, body, headers):
    """Not as text, not as digits, and not packed so that somebody might unpack it."""
    client.force_login(admin_site.staff("vera", *admin_site.views()))
    rows = [admin_site.letter(body=body, headers=headers),
            admin_site.message(body=body, headers=headers)]  # fmt: skip

    for row in rows:
        response = client.get(page(row, "change"))
        html = response.content.decode()
        assert response.status_code == 200
        for form in (SECRET, body[:8].hex(" "), body[:8].hex()):
            assert form not in html


def test_no_page_shows_a_secret(client, run_subscribers):
    """Lists and pages of every table, wherever it stands: in data, headers, results, errors."""
    client.force_login(admin_site.staff("vera", *admin_site.views()))
    secret = {"password": SECRET}
    text = f"ValueError: {secret}"
    errors = [{"attempt": 1, "exception": "ValueError", "message": text, "traceback": text}]
    rows = [
        admin_site.entry(data={"user": secret}, extensions=secret),
        admin_site.delivery(errors=errors, result=secret),
        admin_site.letter(error=text, headers=secret, properties={"deep": [secret]}),
        admin_site.message(headers=secret, properties=secret),
    ]

    for row in rows:
        for address in (page(row, "change"), page(type(row)), page(row, "history")):
            html = client.get(address).content.decode()
            assert SECRET not in html, address
        assert "••••••" in client.get(page(row, "change")).content.decode()
