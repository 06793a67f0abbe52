"""What may be asked for in an address? Nothing that no database can look for."""

from __future__ import annotations

from itertools import chain

from django.core.exceptions import BadRequest
from django.http import HttpRequest

#: The highest number that a row can have.
LAST_ROW = 2**63 - 1


def refuse_nul(request: HttpRequest, *more: str) -> None:
    """Raise BadRequest for a NUL character, which PostgreSQL has in no text."""
    asked = chain.from_iterable(values for _, values in request.GET.lists())
    if any("\x00" in text for text in chain(asked, more)):
        raise BadRequest("There is a NUL character in the address.")
