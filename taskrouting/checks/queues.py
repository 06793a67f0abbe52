"""Can these queues be, and do their subscriptions go together?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.core.checks import CheckMessage, Error, Warning

from taskrouting import conf, topics
from taskrouting.exceptions import InvalidPattern
from taskrouting.routing import topology
from taskrouting.routing.subscriptions import registry
from taskrouting.transport import broker, capabilities
from taskrouting.transport.messages import OUTBOX

from .brokers import transport_of
from .registering import check

#: Bytes in the longest name that AMQP and our tables keep; SQS keeps fewer characters.
LONGEST_NAME, LONGEST_SQS_NAME = 255, 80

#: The exchange of dead letters is named after ours, with ".dead" behind it.
LONGEST_EXCHANGE = LONGEST_NAME - len(".dead")

#: Arguments that RabbitMQ refuses (406) for a type of queue, and what to do about it.
REFUSED = {
    "quorum": {"x-max-priority": "Set 'type': 'classic', which has priorities."},
    "classic": {
        "x-delivery-limit": "Remove it; only quorum queues count deliveries.",
        "x-dead-letter-strategy": "Remove it; only quorum queues have it.",
    },
}


@check
def patterns_can_match(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E011: the binding would be refused, or be for nothing."""
    for place, pattern in _written_patterns(settings):
        try:
            topics.validate_pattern(pattern)
        except InvalidPattern as error:
            yield Error(f"{place}: {error}", id="taskrouting.E011")


@check
def patterns_mean_what_they_say(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W007: whoever wrote ``vid*`` will wait for events in vain."""
    subscribed = [
        (f"Subscription {each.name!r}", pattern) for each in registry for pattern in each.patterns
    ]
    for place, pattern in dict.fromkeys([*_written_patterns(settings), *subscribed]):
        for word in topics.suspicious_words(pattern):
            yield Warning(
                f"{place}: the pattern {pattern!r} holds the word {word!r}, in which * and # are "
                "ordinary characters.",
                hint="A wildcard stands for whole words: 'video.*', 'video.#'.",
                id="taskrouting.W007",
            )


@check
def batches_have_their_own_queue(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E012: a worker collects a queue's messages for one subscription, or hands them out singly."""
    for each in registry:
        others = [other.name for other in registry.on_queue(each.queue) if other is not each]
        if each.batch and others:
            yield Error(
                f"Subscription {each.name!r} takes batches from queue {each.queue!r}, which it "
                f"shares with {', '.join(repr(name) for name in others)}.",
                hint="Give each another queue=; every queue gets its own copy of an event.",
                id="taskrouting.E012",
            )


@check
def names_are_possible(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E013: the broker would refuse the name, or it is taken."""
    can = transport_of(settings)
    transport = can.name if can else ""
    current = topology.current()
    taken = {OUTBOX} | ({broker.dead_letter_exchange(current)} if transport == "amqp" else set())
    names = [("exchange", current.exchange), *(("queue", each.name) for each in current.queues)]
    for what, name in names:
        fault = _name_fault(name, what, transport)
        if fault or name in taken:
            yield Error(
                f"The {what} {name!r}: {fault or 'this name is taken by taskrouting itself'}.",
                hint=f"Choose another name for the {what}.",
                id="taskrouting.E013",
            )


@check
def names_are_different(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E014: messages would reach the wrong subscribers."""
    can = transport_of(settings)
    seen: dict[str, str] = {}
    for queue in topology.current().queues if can else ():
        stored = capabilities.stored_name(can.name if can else "", queue.name)
        if stored in seen:
            yield Error(
                f"The queues {seen[stored]!r} and {queue.name!r} are both {stored!r} on SQS.",
                hint="SQS knows letters, digits, - and _ only; change one of the names.",
                id="taskrouting.E014",
            )
        seen.setdefault(stored, queue.name)


@check
def arguments_are_possible(settings: conf.Settings) -> Iterator[CheckMessage]:
    """E015: RabbitMQ would refuse to declare the queue."""
    can = transport_of(settings)
    for queue in topology.current().queues if can and can.name == "amqp" else ():
        place = f"TASKROUTING['QUEUES'][{queue.name!r}]"
        for argument in queue.arguments:
            if remedy := REFUSED[queue.type].get(argument):
                yield Error(
                    f"{place}['arguments'] has {argument!r}, which RabbitMQ refuses for a "
                    f"{queue.type} queue.",
                    hint=remedy,
                    id="taskrouting.E015",
                )
        if queue.arguments.get("x-queue-type", queue.type) != queue.type:
            yield Error(
                f"{place}['arguments'] has an 'x-queue-type' that is not its 'type', "
                f"{queue.type!r}.",
                hint="Say it once, as 'type'.",
                id="taskrouting.E015",
            )


@check
def queues_are_used(settings: conf.Settings) -> Iterator[CheckMessage]:
    """W008: messages would pile up there."""
    for name in settings.queues:
        if not registry.on_queue(name):
            yield Warning(
                f"TASKROUTING['QUEUES'] has {name!r}, and no subscription uses that queue.",
                hint="A misspelt name? If another program consumes it, silence this check.",
                id="taskrouting.W008",
            )


def _written_patterns(settings: conf.Settings) -> Iterator[tuple[str, str]]:
    """Every pattern in the settings, with its place."""
    for name, queue in settings.queues.items():
        for pattern in queue.bindings:
            yield f"TASKROUTING['QUEUES'][{name!r}]['bindings']", pattern
    for pattern in settings.audit.bindings:
        yield "TASKROUTING['AUDIT']['bindings']", pattern
    for pattern in settings.audit.exclude:
        yield "TASKROUTING['AUDIT']['exclude']", pattern


def _name_fault(name: str, what: str, transport: str) -> str:
    """Say why ``transport`` cannot keep the name; empty if it can."""
    longest = LONGEST_EXCHANGE if what == "exchange" else LONGEST_NAME
    if not name.isprintable() or len(name.encode()) > longest:
        return f"a name is printable text of at most {longest} bytes"
    if transport == "amqp" and name.startswith("amq."):
        return "RabbitMQ keeps names that begin with 'amq.' for itself"
    if transport == "sqs" and what == "queue" and len(name) > LONGEST_SQS_NAME:
        return f"SQS takes {LONGEST_SQS_NAME} characters"
    if transport == "filesystem" and not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        return "it becomes a file's name, of letters, digits, '.', '_' and '-'"
    return ""
