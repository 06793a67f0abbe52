"""How is the content of a message shown, wherever it is kept?"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from taskrouting.models import DeadLetter, Message
from taskrouting.transport.messages import COMPRESSION

from . import shown
from .record import OfEventAdmin

#: The tables that hold whole messages.
Holder = DeadLetter | Message

#: The part of a page that shows what is in the message.
CONTENT: Any = (
    _("Message"),
    {
        "fields": (
            "content_type", "content_encoding", "shown_body", "shown_headers", "shown_properties",
        ),
    },
)  # fmt: skip


class ContentAdmin(OfEventAdmin):
    """Rows that hold a message."""

    unlisted: ClassVar[tuple[str, ...]] = ("body", "headers", "properties")

    @admin.display(description=_("body"))
    def shown_body(self, row: Holder) -> SafeString:
        """Show the body as what it is."""
        return shown.body(row.body, row.headers.get(COMPRESSION))

    @admin.display(description=_("headers"))
    def shown_headers(self, row: Holder) -> SafeString:
        """Show the headers, readable."""
        return shown.json_block(row.headers, _("headers"))

    @admin.display(description=_("properties"))
    def shown_properties(self, row: Holder) -> SafeString:
        """Show the properties, readable."""
        return shown.json_block(row.properties, _("properties"))
