"""What of one run is on record, and what is missing?

Only what this run did is looked at: its video's key and its user's name are given out once in the
world, so that what an earlier run left on a broker, or another one puts there now, is not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Q

from project.media import record
from project.media.models import Video
from taskrouting import conf
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message
from taskrouting.routing import subscriptions, topology

#: The events of a run that goes well.
EXPECTED = ("user.login", "video.upload", "video.ready")


#: The states of a delivery that nothing comes after.
FINAL = {Delivery.State.HANDLED, Delivery.State.DISCARDED, Delivery.State.DEAD}


@dataclass(frozen=True, slots=True)
class Findings:
    """What is on record of one run."""

    video: Video
    events: list[AuditLog]
    deliveries: list[Delivery]
    dead_letters: list[DeadLetter]
    waiting: list[Message]

    def story(self) -> list[record.Entry]:
        """Each event with its route and what came of it."""
        return record.entries(self.events)

    def missing(self) -> list[str]:
        """What a run that went well would have and this one has not, a sentence each."""
        return [*self._files(), *self._records(), *self._handlings(), *self._leftovers()]

    @property
    def is_settled(self) -> bool:
        """Say whether there is nothing more to wait for, well or not."""
        kinds = {event.routing_key for event in self.events}
        ended = not kinds.isdisjoint(("video.ready", "video.failed"))
        settled = all(set(states) and set(states) <= FINAL for *_, states in self._expected())
        return ended and kinds.issuperset(EXPECTED[:2]) and settled and not self.waiting

    def _files(self) -> Iterator[str]:
        if self.video.error:
            yield f"The video cannot be shown: {self.video.error}"
        for name, file in (("poster", self.video.poster), ("rendition", self.video.rendition)):
            if not file.name or not file.storage.exists(file.name) or not file.size:
                yield f"There is no {name}."

    def _records(self) -> Iterator[str]:
        """Every event has one audit row, and there is one event of each kind."""
        rows = Counter(event.event_id for event in self.events)
        kinds = Counter(event.routing_key for event in self.events)
        for event_id, count in rows.items():
            if count != 1:
                yield f"Event {event_id} has {count} audit rows instead of one."
        for kind in EXPECTED:
            if kinds[kind] != 1:
                yield f"{kind} has {kinds[kind]} audit rows instead of one."

    def _handlings(self) -> Iterator[str]:
        """Every subscription that wants an event has handled it, once."""
        for event, subscription, states in self._expected():
            if states != [Delivery.State.HANDLED]:
                told = (
                    ", ".join(str(Delivery.State(each).label) for each in states) or "no delivery"
                )
                yield f"{subscription} has not handled {event.routing_key} once: {told}."

    def _expected(self) -> Iterator[tuple[AuditLog, str, list[str]]]:
        """Each event with each subscription that wants it and the states of its deliveries."""
        for event in self.events:
            for name in _wanting(event.routing_key):
                yield (
                    event,
                    name,
                    [
                        each.state
                        for each in self.deliveries
                        if (each.event_id, each.subscription) == (event.event_id, name)
                    ],
                )

    def _leftovers(self) -> Iterator[str]:
        for letter in self.dead_letters:
            yield f"{letter.routing_key} ended as a dead letter ({letter.get_reason_display()})."
        for message in self.waiting:
            yield f"{message.routing_key} still waits for {message.queue or 'the relay'}."


def look(user: User, video: Video) -> Findings:
    """Read what is on record of the run in which ``user`` uploaded ``video``."""
    login = Q(routing_key="user.login", data__username=user.username)
    events = list(AuditLog.objects.filter(Q(subject=video.subject) | login))
    ids = [event.event_id for event in events]
    return Findings(
        video=Video.objects.get(pk=video.pk),
        events=events,
        deliveries=list(Delivery.objects.filter(event_id__in=ids).order_by("id")),
        dead_letters=list(DeadLetter.objects.filter(event_id__in=ids)),
        waiting=list(Message.objects.filter(event_id__in=ids)),
    )


def _wanting(routing_key: str) -> list[str]:
    """The subscriptions that want an event, on every queue it goes to, the audit log aside."""
    queues = {binding.queue for binding in topology.current().route(routing_key)}
    return [
        subscription.name
        for queue in sorted(queues - {conf.current().audit.queue})
        for subscription in subscriptions.registry.wanting(queue, routing_key)
    ]
