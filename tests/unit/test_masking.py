"""Is what is sensitive hidden wherever a text has it, and the rest left readable?"""

from __future__ import annotations

import pytest
from django.test import override_settings

from taskrouting import masking
from taskrouting.masking import HIDDEN

SECRET = "geheim"


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "geheim", "title": "Bunny"}',
        '{"title": "Bunny", "PassWord" :"geheim"}',
        '{"title": "Bunny", "password": "ge\\"heim',
        "{'password': 'geheim', 'title': 'Bunny'}",
        "{'password': b'geheim', 'title': 'Bunny'}",
        "login(title='Bunny', password='geheim')",
        "Login(title='Bunny', password=geheim)",
        "title=Bunny&password=geheim",
        "title: Bunny\npassword: gehe im\n",
        "<title>Bunny</title><password>geheim</password>",
        "<title>Bunny</title><password kind='x'>gehe im</password>",
        "Bunny: Key (password)=(geheim) already exists.",
        '{"title": "Bunny", "text": "{\\"password\\": \\"geheim\\"}"}',
        '{"title": "Bunny", "password": {"old": "geheim", "new": "geheim"}',
        '{"title": "Bunny", "password": ["geheim"',
        "{'title': 'Bunny', 'password': ('geheim', 1)}",
        '{"title": "Bunny", "password": "", "password": "geheim"}',
    ],
)
def test_what_stands_after_a_sensitive_name_is_hidden(text):
    """As JSON, Python, a form, YAML, XML or a database write it."""
    shown = masking.hidden_in_text(text)

    assert "heim" not in shown
    assert HIDDEN in shown
    assert "Bunny" in shown


@pytest.mark.parametrize(
    "text", ['{"passwords": "kept"}', "my_password = kept", "the password is kept", "password"]
)
def test_other_names_are_left_alone(text):
    """A name is a whole word that something is assigned to."""
    assert masking.hidden_in_text(text) == text


def test_text_in_json_is_searched_too():
    """A producer may have put JSON into a text of JSON."""
    assert SECRET not in str(masking.hidden({"a": ['{"password": "geheim"}']}))


TRACEBACK = """Traceback (most recent call last):
  File "mail.py", line 7, in send
    login("{}")
ValueError: {!r} is wrong, {} too; try 7
"""


@pytest.mark.parametrize(
    "secret",
    [SECRET, 'quo"te', "it's", "line\nfeed", "Hässlich", "日本", 12345678, 3.14159, "a\\b"],
)
def test_values_of_an_event_are_hidden_wherever_they_stand(secret):
    """A traceback does not say what a value is called."""
    data = {"user": {"password": secret, "title": "Bunny"}, "size": 7}
    text = TRACEBACK.format(secret, secret, [secret])

    shown = masking.without_values(text, data)

    assert str(secret) not in shown
    assert repr(secret) not in shown
    assert "line 7" in shown
    assert shown.endswith("try 7\n")


def test_whatever_is_below_a_sensitive_name_is_hidden():
    """In lists and objects, too; true, false and nothing are no secrets."""
    data = {"password": [{"old": "geheim-1"}, ["geheim-2", True, None]], "other": "geheim-3"}

    shown = masking.without_values("geheim-1 geheim-2 geheim-3 True None", data)

    assert shown == f"{HIDDEN} {HIDDEN} geheim-3 True None"


def test_short_values_are_hidden_only_where_they_are_quoted():
    """Else nothing would be left of a text."""
    shown = masking.without_values("line 7, in 'a': \"7\" (7) a", {"password": ["a", 7, ""]})

    assert shown == f"line 7, in {HIDDEN}: {HIDDEN} {HIDDEN} a"


def test_longer_values_go_first():
    """One that contains another is not hidden by half."""
    data = {"password": ["geheim", "geheimnis"]}

    assert masking.without_values("geheimnis", data) == HIDDEN


def test_a_text_with_too_many_values_to_look_for_is_not_kept():
    """Whatever a message holds, looking costs no more than it should."""
    data = {"password": [f"secret-{number}" for number in range(50_000)]}

    assert masking.without_values("secret-49999", data) == HIDDEN


@pytest.mark.parametrize("data", [None, "geheim", 7, b"geheim", ["geheim"], {"a": "geheim"}])
def test_data_without_sensitive_names_hides_nothing(data):
    """Whatever an event's data is."""
    assert masking.without_values("geheim, 7", data) == "geheim, 7"


def test_the_settings_say_what_is_sensitive():
    """``SENSITIVE`` is the one list of names; an empty one hides nothing."""
    with override_settings(TASKROUTING={"SENSITIVE": ["i.ban"]}):
        assert masking.hidden_in_text("i.ban=1, ixban=2, password=3") == (
            f"i.ban={HIDDEN}, ixban=2, password=3"
        )
    with override_settings(TASKROUTING={"SENSITIVE": []}):
        assert masking.without_values("password=geheim", {"password": "geheim"}) == (
            "password=geheim"
        )
        assert not masking.may_hold(b"password")
