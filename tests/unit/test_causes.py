"""Of what did a dead letter die? What is in its cause, and what is not."""

from __future__ import annotations

import traceback

import pytest

from taskrouting.dead_letters.causes import LONGEST, cause_of


def raised(error: Exception) -> str:
    """A traceback as Python prints it."""
    try:
        raise error
    except Exception:  # noqa: BLE001  # whatever the test wants
        return traceback.format_exc()


def test_a_cause_is_class_and_place_without_values() -> None:
    """Two events that die of the same have one cause, whatever their values and the release."""
    one = cause_of("exhausted", raised(ConnectionError("order 1")))
    two = cause_of("rejected", "\n\n" + raised(ConnectionError("order 2:\n  two lines")))

    assert one == two == "ConnectionError in tests/unit/test_causes.py:raised"


def test_the_last_error_of_a_chain_counts() -> None:
    """What the handler let out is what it died of, not what it had caught."""
    try:
        try:
            raise KeyError("x")
        except KeyError:
            raise ValueError("y") from None
    except ValueError:
        alone = cause_of("exhausted", traceback.format_exc())
    try:
        try:
            raise KeyError("x")
        except KeyError as error:
            raise ValueError("y") from error
    except ValueError:
        chained = cause_of("exhausted", traceback.format_exc())

    assert alone == chained
    assert alone.startswith("ValueError in ")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/srv/venv/lib/python3.12/site-packages/requests/api.py", "requests/api.py:get"),
        ("/usr/lib/python3.12/json/decoder.py", "json/decoder.py:get"),
        ("/srv/releases/2026-11-01/site/shop/mail.py", "site/shop/mail.py:get"),
        (r"C:\site\shop\mail.py", "site/shop/mail.py:get"),
    ],
)
def test_a_place_is_the_same_on_every_machine(path: str, place: str) -> None:
    """Where Python is installed, and where a release was unpacked, is not in it."""
    text = f'Traceback:\n  File "{path}", line 7, in get\n    do()\n    ^^^^\nshop.errors.Away: x'

    assert cause_of("exhausted", text) == f"Away in {place}"


@pytest.mark.parametrize("text", ["", "no queue wants it", 'File "x", line 1', "a\n" * 9])
def test_without_a_traceback_the_reason_is_the_cause(text: str) -> None:
    """What was given up on before any code ran has no place."""
    assert cause_of("unroutable", text) == "unroutable"


def test_a_cause_fits_into_its_column() -> None:
    """However long the names are."""
    text = f'  File "{"x" * 300}.py", line 1, in f\nValueError: y'

    assert len(cause_of("exhausted", text)) == LONGEST
