"""What does ``publish()`` refuse at the door, because some broker could not carry it?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from taskrouting import publish, publish_many
from taskrouting.context import acting
from taskrouting.events import Event
from taskrouting.exceptions import InvalidEventData
from taskrouting.models import Message

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]

#: 200 characters, as many as a table keeps, and 800 bytes, more than AMQP does.
LONG = "😀" * 200


@pytest.mark.parametrize("name", ["event_id", "correlation_id"])
@pytest.mark.parametrize("url", ["django://", "amqp://", "redis://"])
def test_what_amqp_cannot_carry_is_refused(settings, name, url):
    """Wherever it is bound for: an outbox row that RabbitMQ refuses later would be too late."""
    settings.TASKROUTING = {"BROKER_URL": url}

    with pytest.raises(InvalidEventData, match=f"^{name}: 800 bytes long in UTF-8, and AMQP takes"):
        publish("video.upload", **{name: LONG})
    assert not Message.objects.exists()


def test_an_event_made_by_hand_is_refused_too():
    """``publish_many`` takes events as they are, and looks at them as closely."""
    event = Event(id="1", type="video.upload", source=LONG, time=datetime.now(UTC))

    with pytest.raises(InvalidEventData, match=r"^source: 800 bytes long"):
        publish_many([event])


def test_what_the_context_hands_on_is_published_all_the_same():
    """Who handles a foreign event whose correlation is long can publish what follows from it."""
    with acting(correlation_id=LONG):
        assert publish("video.ready").correlation_id == LONG
