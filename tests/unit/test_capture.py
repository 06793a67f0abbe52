"""Is a ``@publishes`` that cannot work refused where it is written, by a sentence that helps?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.db import models
from django.test.utils import isolate_apps

import taskrouting
from taskrouting import publishes
from taskrouting.exceptions import ConfigurationError, InvalidRoutingKey
from taskrouting.publishing import declarations
from tests.published import capturing, nothing
from tests.shop.models import Gift, Order


def refused(*arguments, **options):
    """Expect a declaration to be refused; the block gives the words."""
    with pytest.raises((ConfigurationError, InvalidRoutingKey)) as caught:
        publishes(*arguments, **options)(nothing)
    assert not list(declarations.registry)
    return str(caught.value)


def test_the_function_is_returned_unchanged():
    """The decorated function can be called and tested like any other."""

    def order_data(order):
        return {"number": order.number}

    try:
        assert publishes(Order, created="order.created")(order_data) is order_data
    finally:
        declarations.registry.remove(order_data)


def test_a_declaration_without_any_key_is_refused():
    """At least one of created, updated and deleted is needed."""
    assert "give created=, updated= or deleted=" in refused(Order)


def test_fields_without_updated_are_refused():
    """``fields`` limits updates, and would otherwise look as if it limited the data."""
    assert "fields= says nothing without updated=" in refused(
        Order, created="order.created", fields=["status"]
    )


@pytest.mark.parametrize("model", [nothing, object, "Order", "a.b.c", None])
def test_what_is_no_model_is_refused(model):
    """A forgotten pair of brackets, for example."""
    assert "name a model class or 'app.Model'" in refused(model, created="order.created")


@pytest.mark.parametrize("model", ["shop.Ordr", "shp.Order"])
def test_the_name_of_a_model_that_is_not_there_is_refused(model):
    """A typing mistake is found when the app starts."""
    assert model in refused(model, created="order.created")


def test_an_abstract_model_is_refused():
    """It has no rows; the models made from it have."""

    class Record(models.Model):
        class Meta:
            abstract = True
            app_label = "shop"

    assert "is abstract" in refused(Record, created="record.created")


def test_the_hidden_table_of_a_many_to_many_field_is_refused():
    """Django writes it without a signal, so a capture would be silent for ever."""
    assert "through=" in refused(get_user_model().groups.through, created="member.created")


@isolate_apps("tests.shop")
def test_a_swapped_model_is_refused(settings):
    """Nobody saves it; the error names the one that took its place."""
    settings.SHOP_BASKET = "shop.Order"

    class Basket(models.Model):  # noqa: DJ008  # nobody looks at it
        class Meta:
            app_label = "shop"
            swappable = "SHOP_BASKET"

    assert "'shop.Order' (settings.SHOP_BASKET)" in refused(Basket, created="basket.created")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("order.{stauts}", "has no attribute 'stauts'"),
        ("order.{customers.name}", "has no attribute 'customers'"),
        ("order.{}", "has no attribute ''"),
        ("order.{0}", "has no attribute '0'"),
        ("order.{status", "is no format string"),
        ("order.{save}", "is no field or property"),
        ("order.{total:{status}}", "nests another"),
        ("", "is empty"),
        ("x" * 256 + "{status}", "257 bytes"),
        (7, "is int, not text"),
    ],
)
@pytest.mark.parametrize("event", ["created", "updated", "deleted"])
def test_a_key_that_could_never_be_filled_is_refused(event, key, words):
    """The error names the key and what is wrong with it."""
    assert words in refused(Order, **{event: key})


@pytest.mark.parametrize(
    "key", ["order.{customer.username}", "order.{pk}", "{{literal}}", "order.{status!r:>5}"]
)
def test_a_key_may_be_any_format_string_over_the_instance(key):
    """Relations, keys, literal braces, conversions and formats are all there."""
    with capturing(Order, created=key):
        assert [capture.created for capture in declarations.registry] == [key]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (["stauts"], "has no field 'stauts'"),
        (["id"], "has no field 'id'"),
        (["lines"], "has no field 'lines'"),
        ("status", "must be a list of field names"),
        ([], "must be a list of field names"),
    ],
)
def test_fields_that_no_update_could_change_are_refused(fields, words):
    """The error lists the fields that the model has."""
    message = refused(Order, updated="order.updated", fields=fields)
    assert words in message


def test_a_coroutine_function_is_refused():
    """Nothing can be awaited in the middle of a save."""

    async def data(order):
        return {}

    with pytest.raises(ConfigurationError, match="nothing can be awaited"):
        publishes(Order, created="order.created")(data)


MODELS = """
from django.db import models
from taskrouting import EventQuerySet, publishes

@publishes("books.{name}", created="book.created")
def book_data(book):
    return {{}}

class Book(models.Model):
    title = models.CharField(max_length=50)
    objects = EventQuerySet.as_manager()

publishes(Book, updated="book.{{title}}")(book_data)
"""

SITE = """
import django
from django.conf import settings
from django.core.checks import run_checks

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["books", "django.contrib.contenttypes", "taskrouting"],
)
django.setup()

from taskrouting.publishing.declarations import registry

print([capture.created or capture.updated for capture in registry])
print([error.msg for error in run_checks() if error.id == "models.E022"])
"""


def site_with(tmp_path, name):
    """Start a Django whose ``models.py`` captures by ``name`` before the model is there."""
    app = tmp_path / "books"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "models.py").write_text(MODELS.format(name=name))
    path = os.pathsep.join([str(tmp_path), str(Path(taskrouting.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", SITE],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_models_may_be_captured_while_django_loads_them(tmp_path):
    """``@publishes`` and ``EventQuerySet`` work in a ``models.py``, also before the class."""
    assert site_with(tmp_path, "Book") == ["['book.created', 'book.{title}']", "[]"]


def test_a_model_that_never_comes_is_a_system_check(tmp_path):
    """Django itself says which name a declaration waits for in vain."""
    captured, errors = site_with(tmp_path, "Bok")
    assert captured == "['book.{title}']"
    assert "books.bok" in errors


def test_a_reloaded_module_replaces_its_declarations():
    """A reloader that runs a module again does not double its events."""
    source = "def order_data(order):\n    return {}\n"
    for _ in range(2):
        module = {"__name__": "shop_events"}
        exec(compile(source, "shop_events.py", "exec"), module)  # noqa: S102  # what a reload does
        publishes(Order, created="order.created")(module["order_data"])

    try:
        assert [capture.data for capture in declarations.registry] == [module["order_data"]]
    finally:
        declarations.registry.remove(module["order_data"])


def test_a_model_is_wrapped_once():
    """However often a model and its children are declared, a save passes one wrapper."""
    with capturing(Gift, created="gift"), capturing(Order, created="order", deleted="gone"):
        wrapped = Gift.save_base
        with capturing(Gift, created="gift"), capturing(Order, created="order"):
            assert Gift.save_base is wrapped

    assert not hasattr(Order.save_base.__wrapped__, "captures")


def test_an_unknown_function_can_be_forgotten():
    """Removing what was never declared is harmless."""
    declarations.registry.remove(nothing)
    assert re.match(r"<.*Registry", repr(declarations.registry))


def test_publishes_without_parentheses_is_refused():
    """A forgotten model is an error at once, not an event that never comes."""
    with pytest.raises(ConfigurationError, match="name a model class"):

        @publishes
        def order_data(order):
            return {}
