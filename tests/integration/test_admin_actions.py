"""What may one do in the admin, who may, and what is one told?"""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

from taskrouting import Reject, publish, subscribe
from taskrouting.models import AuditLog, DeadLetter, Delivery, Message
from tests.integration import admin_site
from tests.integration.admin_site import act, page, told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("subscriptions")]


@pytest.fixture
def letter(run_subscribers):
    """The dead letter of a delivery that was rejected."""

    @subscribe("video.#", queue="video_queue", name="transcoder")
    def refuse(event):
        raise Reject("no codec")

    publish("video.upload", {"title": "Bunny"})
    run_subscribers()
    return DeadLetter.objects.get()


@pytest.fixture
def ada(client):
    """Somebody who may view everything, and do nothing yet."""
    user = admin_site.staff("ada", *admin_site.views())
    client.force_login(user)
    return user


def permit(user, *names: str) -> None:
    """Give a permission."""
    user.user_permissions.add(*Permission.objects.filter(codename__in=names))


def is_open(letter: DeadLetter) -> bool:
    """Whether nobody has closed it."""
    return DeadLetter.objects.get(pk=letter.pk).resolved_at is None


def test_a_redrive_is_done_told_and_recorded(client, ada, letter, run_subscribers):
    """One tick and a click: a copy waits, a message says so, the audit log says who."""
    permit(ada, "redrive_deadletter")

    response = act(client, "redrive", letter, index="0")
    run_subscribers()

    assert told(response) == ["1 dead letter redriven."]
    assert not is_open(letter)
    entry = AuditLog.objects.get(routing_key="taskrouting.operator.redriven")
    assert entry.actor == f"auth.user:{ada.pk} (ada)"


@pytest.mark.parametrize("others", [[], ["discard_deadletter"]])
@pytest.mark.parametrize("model", [DeadLetter, Delivery], ids=lambda model: model.__name__)
def test_without_its_permission_nobody_redrives(client, ada, letter, model, others):
    """To see a dead letter, or to discard it, is not the right to run it again."""
    permit(ada, *others)

    act(client, "redrive", model.objects.get(), index="0")

    assert is_open(letter)
    assert not Message.objects.exists()
    assert "redrive" not in dict(
        client.get(page(model.objects.get(), "change")).context["row_actions"]
    )


@pytest.mark.parametrize("others", [[], ["redrive_deadletter"]])
def test_without_its_permission_nobody_discards(client, ada, letter, others):
    """To see a dead letter, or to redrive it, is not the right to drop it."""
    permit(ada, *others)

    act(client, "discard", letter, confirmed="yes", reason="because")

    assert is_open(letter)


def test_the_permission_to_act_is_not_the_permission_to_see(client, letter):
    """Who may redrive but not view gets no list to redrive from."""
    client.force_login(admin_site.staff("ben", "redrive_deadletter", "discard_deadletter"))

    assert act(client, "redrive", letter).status_code == 403
    assert is_open(letter)


def test_a_discard_asks_for_a_reason_first(client, ada, letter):
    """The first click asks, an empty answer asks again, a reason closes it and is kept."""
    permit(ada, "discard_deadletter")

    asked = act(client, "discard", letter, index="0")
    again = act(client, "discard", letter, confirmed="yes", reason="  ")
    assert is_open(letter)
    done = act(client, "discard", letter, confirmed="yes", reason="deleted")

    assert asked.template_name == again.template_name == "admin/taskrouting/discard.html"
    assert asked.context["form"].errors == {}
    assert again.context["form"].errors == {"reason": ["This field is required."]}
    assert admin_site.Forbidden(asked.content.decode()).found == []
    assert told(done) == ["1 dead letter discarded."]
    assert DeadLetter.objects.get().note == "deleted"


def test_several_at_once_and_one_of_them_too_late(client, ada, letter):
    """What is closed by now is left alone, and said to be."""
    permit(ada, "redrive_deadletter", "discard_deadletter")
    others = [admin_site.letter(event_id=f"e-{number}", subscription="") for number in range(2)]
    act(client, "redrive", letter)

    response = act(client, "redrive", letter, *others)
    nothing = act(client, "discard", *others, index="0")

    assert told(response) == [
        "2 dead letters redriven.",
        "1 was left alone: it is not open, or not dead, any more.",
    ]
    assert told(nothing) == ["2 were left alone: they are not open, or not dead, any more."]


def test_what_cannot_be_redriven_is_told_with_the_reason(client, ada, letter):
    """A refusal says why and stops none of the others."""
    permit(ada, "redrive_deadletter")
    Delivery.objects.all().delete()
    other = admin_site.letter(event_id="other")

    response = act(client, "redrive", letter, other)

    assert told(response)[0] == "1 dead letter redriven."
    assert "was pruned from the ledger" in told(response)[1]
    assert (is_open(letter), is_open(other)) == (True, False)


def test_many_refusals_are_counted_instead_of_told(client, ada):
    """A page of refusals is not fifty messages."""
    permit(ada, "redrive_deadletter")
    letters = [admin_site.letter(event_id=f"e-{number}", delivery=99) for number in range(8)]

    response = act(client, "redrive", *letters)

    assert len(told(response)) == 6
    assert told(response)[-1] == "3 more were refused."


def test_a_dead_delivery_is_redriven_from_the_ledger(client, ada, letter):
    """The same deed, found from the other side; a delivery that lives is left alone."""
    permit(ada, "redrive_deadletter")

    first = act(client, "redrive", Delivery.objects.get())
    second = act(client, "redrive", Delivery.objects.get())

    assert told(first) == ["1 dead letter redriven."]
    assert told(second) == ["1 was left alone: it is not open, or not dead, any more."]
    assert not is_open(letter)


def test_nobody_acts_on_rows_that_nobody_saw(client, ada, letter):
    """Only what was ticked is acted on; "all that match" is not taken for an answer."""
    permit(ada, "redrive_deadletter")
    unseen = admin_site.letter(event_id="unseen")

    response = act(client, "redrive", letter, select_across="1", index="0")

    assert told(response) == ["1 dead letter redriven."]
    assert is_open(unseen)


def test_without_the_middleware_the_user_is_named_all_the_same(client, ada, letter, settings):
    """Who did it is recorded, whatever stands in MIDDLEWARE."""
    permit(ada, "redrive_deadletter")
    ours = "taskrouting.middleware.ActorMiddleware"
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != ours]

    act(client, "redrive", letter)

    deed = Message.objects.get(routing_key="taskrouting.operator.redriven")
    assert f"auth.user:{ada.pk} (ada)" in bytes(deed.body).decode()
