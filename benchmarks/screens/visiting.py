"""How long does a page take, and how many queries? Asked through Django's test client."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

#: How often each page is opened.
TIMES = 7


@dataclass(slots=True)
class Visit:
    """What one page took."""

    name: str
    address: str
    seconds: list[float] = field(default_factory=list)

    #: Of them, what this process has computed: here SQLite is part of it, PostgreSQL is not.
    busy: list[float] = field(default_factory=list)

    #: The statements of one visit, and how long each took.
    statements: list[tuple[float, str]] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Milliseconds of the visit in the middle."""
        return statistics.median(self.seconds) * 1000

    @property
    def worst(self) -> float:
        """Milliseconds of the slowest visit, as a rule the first: nothing was cached then."""
        return max(self.seconds) * 1000

    @property
    def computed(self) -> float:
        """Milliseconds of processor time at the median, which other programs hardly change."""
        return statistics.median(self.busy) * 1000

    @property
    def queries(self) -> int:
        """How many queries one visit issued, with those for session and user."""
        return len(self.statements)


def superuser() -> Client:
    """A browser in which somebody is logged in who may see everything."""
    people: Any = get_user_model()
    name = {people.USERNAME_FIELD: "root"}
    user = people.objects.filter(**name).first() or people.objects.create_superuser(**name)
    client = Client()
    client.force_login(user)
    return client


def visit(client: Client, name: str, address: str) -> Visit:
    """Open a page ``TIMES`` times."""
    seen = Visit(name, address)
    for _ in range(TIMES):
        with _noted() as seen.statements:
            began, computed = time.perf_counter(), time.process_time()
            response = client.get(address)
            content = b"".join(response) if response.streaming else response.content
            seen.seconds.append(time.perf_counter() - began)
            seen.busy.append(time.process_time() - computed)
        if response.status_code != 200 or not content:
            raise SystemExit(f"{name}: {address} answered {response.status_code}.")
    return seen


def visit_all(client: Client, pages: Iterable[tuple[str, str]]) -> Iterator[Visit]:
    """Open every page."""
    for name, address in pages:
        yield visit(client, name, address)


@contextmanager
def _noted() -> Iterator[list[tuple[float, str]]]:
    """Note what is asked of the database, and how long each answer took."""
    statements: list[tuple[float, str]] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, *more: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, *more)
        finally:
            statements.append((time.perf_counter() - began, sql))

    with connection.execute_wrapper(note):
        yield statements
