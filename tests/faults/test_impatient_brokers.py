"""What does a broker do that loses patience with a long handler? Nothing that anybody notices.

RabbitMQ closes the channel of a consumer that has not acknowledged for ``consumer_timeout``, and
Redis's messages come back after their visibility timeout. Here both are shorter than the handlers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos import servers
from taskrouting.models import DeadLetter
from tests import services
from tests.conformance import places
from tests.conformance.installation import Installation
from tests.conformance.places import POSTGRES, Place
from tests.faults.handlers import CALL, WRITE
from tests.faults.plant import PATIENCE, Plant
from tests.waiting import wait_until

pytestmark = pytest.mark.faults

#: Seconds that the brokers wait, and that the handlers take.
SHORT, LONG = 1, 5


class ImpatientRabbitMQ(servers.RabbitMQ):
    """A node that looks every second for consumers that have not acknowledged within one."""

    configuration = (f"consumer_timeout = {SHORT * 1000}",)

    def environment(self) -> Mapping[str, str]:
        """How often it looks has no name in ``rabbitmq.conf``."""
        theirs = super().environment()
        words = (
            f"{theirs['RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS']} -rabbit channel_tick_interval 1000"
        )
        return {**theirs, "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": words}


@pytest.fixture(scope="module")
def impatient_rabbitmq() -> Iterator[ImpatientRabbitMQ]:
    """A node of its own, since nobody else should have to live with it."""
    if missing := servers.missing(ImpatientRabbitMQ):
        services.unavailable("RabbitMQ", "a port of its own", missing)
    with servers.running(ImpatientRabbitMQ) as server:
        assert isinstance(server, ImpatientRabbitMQ)
        yield server


@pytest.fixture(params=["rabbitmq", "redis"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """An impatient broker beside a PostgreSQL, where a handler's transaction stops nobody else."""
    with places.database(POSTGRES, request) as alias:
        databases = ["default", *({alias} - {"default"})]
        request.node.add_marker(pytest.mark.django_db(transaction=True, databases=databases))
        if request.param == "rabbitmq":
            url, options = request.getfixturevalue("impatient_rabbitmq").url, {}
        else:
            prefix = f"{request.getfixturevalue('unique_name')}:"
            options = {"global_keyprefix": prefix, "visibility_timeout": SHORT}
            url = request.getfixturevalue("redis_url")
        yield Place(name=request.param, url=url, alias=alias, options=options)


@pytest.fixture
def impatient(installation: Installation, tmp_path: Path) -> Plant:
    """An installation on the impatient broker."""
    return Plant(installation, tmp_path)


def orders(plant: Plant) -> dict[str, Any]:
    """Take long, and then wait for the neighbours."""
    return {"log": str(plant.log), "seconds": LONG, "until": str(plant.folder / "release")}


def release(plant: Plant) -> None:
    """The neighbours are done."""
    (plant.folder / "release").touch()


def test_a_long_external_handler_runs_once(impatient: Plant) -> None:
    """It takes many times the broker's patience and runs once, while its neighbours go on."""
    plant = impatient
    plant.installation.configure(LEASE=2)
    with plant.worker("worker") as worker:
        (long,) = plant.publish([(CALL, orders(plant))])
        plant.wait_for_line("begin")
        neighbours = plant.publish([(CALL, {}), (WRITE, {})] * 5)
        wait_until(
            lambda: plant.deliveries(state="handled").count() == len(neighbours),
            timeout=PATIENCE,
            message=f"the neighbours; see {plant.folder}",
        )
        assert plant.deliveries(event_id=long.id).get().state == "running"
        release(plant)
        plant.wait_for_outcomes(1 + len(neighbours))

    assert len(plant.lines("begin")) == len(plant.lines("end")) == 1
    rows = plant.deliveries().values_list("state", "attempts", "crashes")
    assert set(rows) == {("handled", 1, 0)}
    assert "trying again" not in worker.printed()


def test_a_long_database_handler_has_its_effect_once(impatient: Plant) -> None:
    """It holds the broker's copy, which comes back; that waits in no thread, and is a duplicate.

    The neighbours are handled by the one thread that is left.
    """
    plant = impatient
    plant.installation.configure(LEASE=2)
    with plant.worker("worker", "--threads", "2") as worker:
        (long,) = plant.publish([(WRITE, orders(plant))])
        plant.wait_for_line("begin")
        wait_until(
            lambda: "Still being run elsewhere" in worker.printed(),
            timeout=PATIENCE,
            message=f"the copy to come back; see {plant.folder}",
        )
        neighbours = plant.publish([(CALL, {}), (WRITE, {})] * 5)
        plant.wait_for_outcomes(len(neighbours))
        assert not plant.deliveries(event_id=long.id).exists(), "it is not committed yet"
        release(plant)
        plant.wait_for_outcomes(1 + len(neighbours))
        wait_until(
            lambda: (
                not plant.waiting().exists()
                and f"{long.id} ({WRITE}, attempt 0) duplicate" in worker.printed()
            ),
            timeout=PATIENCE,
            message=f"the copy to be recognised; see {plant.folder}",
        )

    assert len(plant.lines("begin")) == 1
    assert len(plant.effects()) == 6
    rows = plant.deliveries().values_list("state", "attempts", "crashes")
    assert set(rows) == {("handled", 1, 0)}
    assert not DeadLetter.objects.using(plant.alias).exists()
