"""Publish one event by hand."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from taskrouting import context, json_text
from taskrouting.exceptions import InvalidEnvelope
from taskrouting.management import operator
from taskrouting.management.base import RouterCommand
from taskrouting.publishing.publisher import publish

#: What most often happened to JSON without a quote in it.
NO_QUOTES = """ Did the shell take its quotes away? Write it in single quotes: '{"id": 7}'."""


class Command(RouterCommand):
    """``manage.py publish_event``."""

    help = "Publish an event, as publish() does, and print its id."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("key", help="The routing key, for example video.upload.")
        parser.add_argument(
            "data", nargs="?", metavar="JSON", help="The event's data, for example '{\"id\": 7}'."
        )
        parser.add_argument("--subject", help="What it happened to, for example media.video/7.")

    def handle(self, *, key: str, data: str | None, subject: str | None, **options: Any) -> None:
        """Publish in a transaction of its own, in the name of whoever runs this."""
        value = None if data is None else read(data)
        with context.acting(actor=operator.name()):
            event = publish(key, value, subject=subject)
        self.stdout.write(event.id)


def read(text: str) -> Any:
    """Read the JSON argument. Raises CommandError, which says what is wrong with it and where."""
    try:
        return json_text.loads(text, "The data")
    except InvalidEnvelope as error:
        hint = "" if '"' in text else NO_QUOTES
        raise CommandError(f"{error}{hint}") from error
