"""Which pages are there? Every list with every filter and search, every row's page, and our own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.db.models import Model
from django.test import Client
from django.urls import NoReverseMatch, reverse

from taskrouting.models import AuditLog, Binding, DeadLetter, Delivery, Message, WorkerProcess
from taskrouting.transport.store import OUTBOX

from .filling import LEGACY, OLD_CUSTOMER, RARE, Shape, event_id

Page = tuple[str, str]

#: Choices of one filter that are tried: the first ones and the last one.
MOST_CHOICES = 4


def pages(client: Client, shape: Shape) -> Iterator[Page]:
    """Yield the name and the address of every page."""
    for table in (AuditLog, Delivery, Message, DeadLetter):
        yield from _list(client, table, shape)
    yield from _rows()
    yield from _events(shape)
    yield from _overviews(shape)


def _list(client: Client, table: type[Model], shape: Shape) -> Iterator[Page]:
    name, address = table._meta.model_name, _named(table, "changelist")
    newest = table._default_manager.order_by("-pk").values_list("pk", flat=True)[0]
    yield f"{name}: first page", address
    for share in (50, 2):
        yield f"{name}: 1/{share} from its end", f"{address}?p=before-{newest // share}"
    yield f"{name}: upwards from the middle", f"{address}?p=after-{newest // 2}"
    for label, query in _choices(client, address):
        yield f"{name}: {label}", address + query
    for term in _terms(shape)[table]:
        yield f"{name}: {term}", f"{address}?{urlencode({'q': term})}"
        deep = {"q": term, "p": f"before-{newest // 2}"}
        yield f"{name}: {term}, from the middle", f"{address}?{urlencode(deep)}"


def _choices(client: Client, address: str) -> Iterator[Page]:
    """Yield what the filters beside a list offer."""
    response: Any = client.get(address)
    changes = response.context_data["cl"]
    for spec in changes.filter_specs:
        found = [each for each in spec.choices(changes) if not each["selected"]]
        for each in [*found[: MOST_CHOICES - 1], *found[MOST_CHOICES - 1 :][-1:]]:
            yield f"{spec.title} = {each['display']}", each["query_string"]


def _terms(shape: Shape) -> dict[type[Model], list[str]]:
    """What is typed into the search boxes: what there is much of, little of, and nothing of."""
    some, first = event_id(shape.rows - 1234), event_id(shape.large[0])
    keys = ["key:area0.thing0.done0", f"key:{RARE}", f"key:{LEGACY}", "key:no.such.key"]
    patterns = ["key:area1.#", "key:legacy.#", "key:*.thing7.*", "key:rare.#", "key:#.no"]
    ids = [
        some,
        first,
        f"event:{some}",
        f"correlation:{some}",
        f"correlation:{first}",
        "event:none",
    ]
    about = ["subject:customer:7", f"subject:{OLD_CUSTOMER}", "subject:nobody",
             f"subject:order:{shape.rows - 1}"]  # fmt: skip
    days = ["after:2000-01-01", "before:2000-01-01", "before:2100-01-01"]
    far = f"correlation:{first} {keys[0]}"
    both = [
        far,
        "key:area1.# after:2000-01-01",
        f"{keys[0]} before:2100-01-01",
        f"{about[0]} {keys[0]}",
    ]
    usual = [*ids, *keys, *patterns, *about, *days, *both]
    causes = [f"cause:{first}", f"cause:{some}", "actor:auth.user:7", "actor:nobody"]
    return {
        AuditLog: [*usual, *causes],
        Delivery: usual,
        Message: [*usual, f"queue:{OUTBOX}", "queue:q1_queue", "queue:none"],
        DeadLetter: usual,
    }


def _rows() -> Iterator[Page]:
    """Yield the page of a row of each table, and its history."""
    for table in (AuditLog, Delivery, Message, DeadLetter, Binding, WorkerProcess):
        numbers = table._default_manager.order_by("-pk").values_list("pk", flat=True)
        for kind in ("change", "history"):
            yield f"{table._meta.model_name}: {kind}", _named(table, kind, numbers[3])
    dead = Delivery.objects.filter(state="dead", subscription="s1").values_list("pk", flat=True)
    yield "delivery: change of a dead one", _named(Delivery, "change", dead[0])


def _events(shape: Shape) -> Iterator[Page]:
    """Yield stories and conversations, small and large."""
    first, last = shape.large
    for label, number in (("an event", shape.rows - 1234), ("the cause of many", first),
                          ("one of many", last - 7), ("the oldest", 1)):  # fmt: skip
        yield f"story: {label}", _address("event_story", event_id(number))
    yield "story: an unknown event", _address("event_story", "unknown")
    small = (shape.rows - 1234) // 4 * 4 + 1
    yield "conversation: small", _address("event_conversation", event_id(small))
    yield "conversation: large", _address("event_conversation", event_id(first))


def _overviews(shape: Shape) -> Iterator[Page]:
    """Yield the pages that show no table."""
    for length in ("15m", "1h", "24h"):
        for only in ({}, {"queue": "q1_queue"}, {"subscription": "s1"}):
            query = urlencode({"range": length, **only})
            yield f"dashboard: {query}", f"{_address('dashboard_changelist')}?{query}"
        yield f"dashboard, live: {length}", f"{_address('dashboard_live')}?range={length}"
    topology = _address("topology_changelist")
    yield "topology", topology
    for pattern in ("#", "area1.#", "*.thing7.*"):
        asked = urlencode({"key": "area1.thing7.done7", "pattern": pattern})
        yield f"topology: both boxes, {pattern}", f"{topology}?{asked}"
    for name in ("workerprocess_changelist", "binding_changelist", "event_changelist",
                 "deadletter_groups", "sweep_changelist"):  # fmt: skip
        try:
            yield name.removesuffix("_changelist"), _address(name)
        except NoReverseMatch:
            print(f"There is no {name} here.")
    yield "admin: index", reverse("admin:index")


def _named(table: type[Model], kind: str, *arguments: Any) -> str:
    return _address(f"{table._meta.model_name}_{kind}", *arguments)


def _address(name: str, *arguments: Any) -> str:
    return reverse(f"admin:taskrouting_{name}", args=arguments)
