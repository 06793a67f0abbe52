"""What on PostgreSQL does not wait for the disk? What can be done once more, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connections, transaction

from taskrouting.publishing.relay import Relay
from taskrouting.transport import store
from taskrouting.transport.messages import OUTBOX, Message
from taskrouting.transport.routes import of_database
from taskrouting.transport.store import Claimed
from tests.conformance.installation import Installation
from tests.conformance.places import POSTGRES

pytestmark = pytest.mark.parametrize("place", [POSTGRES], indirect=True)


@pytest.fixture(autouse=True)
def as_by_default(installation: Installation) -> Iterator[None]:
    """Commits wait, as PostgreSQL has it; the tests' database is told not to, for speed."""
    with connections[installation.alias].cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")
        yield
        cursor.execute("RESET synchronous_commit")


@pytest.fixture
def queue(installation: Installation) -> str:
    """A queue with two messages."""
    name = f"{installation.prefix}_haste"
    store.put([Message(queue=name, body=b"", routing_key="key")] * 2, using=installation.alias)
    return name


def claim(installation: Installation, queue: str) -> list[Claimed]:
    """Claim one message."""
    return store.claim(queue, 1, timedelta(minutes=1), using=installation.alias)


def waits(installation: Installation) -> bool:
    """Whether a commit would wait for the disk now."""
    with connections[installation.alias].cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        return bool(cursor.fetchone()[0] == "on")


@contextmanager
def noted(
    installation: Installation, when: str = "AFTER UPDATE"
) -> Iterator[Callable[[], list[str]]]:
    """Note for every row that is changed whether its commit waits, asked when it comes to that."""
    with connections[installation.alias].cursor() as cursor:
        cursor.execute(
            f"""
            CREATE TEMP TABLE noted (waits text);
            CREATE FUNCTION pg_temp.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                INSERT INTO noted VALUES (current_setting('synchronous_commit')); RETURN NULL;
            END $$;
            CREATE CONSTRAINT TRIGGER note {when} ON taskrouting_message
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.note();
            """  # noqa: S608
        )

        def all_of_them() -> list[str]:
            cursor.execute("SELECT waits FROM noted")
            return [row[0] for row in cursor.fetchall()]

        yield all_of_them
        cursor.execute("DROP TRIGGER note ON taskrouting_message; DROP TABLE noted")


def test_a_claim_by_itself_leaves_no_haste_behind(installation: Installation, queue: str) -> None:
    """What the connection does next waits for the disk again."""
    claimed = claim(installation, queue)
    assert waits(installation)
    assert store.settle(claimed, using=installation.alias) == 1
    assert waits(installation)


def test_a_claim_in_a_transaction_makes_nothing_else_hasty(
    installation: Installation, queue: str
) -> None:
    """Who records an outcome and settles in one transaction may rely on both."""
    with transaction.atomic(using=installation.alias):
        store.settle(claim(installation, queue), using=installation.alias)
        assert waits(installation)


def test_haste_that_is_asked_for_ends_with_the_transaction(installation: Installation) -> None:
    """The relay asks for it where all that it does can be done again."""
    with transaction.atomic(using=installation.alias):
        store.in_haste(using=installation.alias)
        assert not waits(installation)
    assert waits(installation)


def test_a_claim_and_its_end_do_not_wait(installation: Installation, queue: str) -> None:
    """The statements that are alone in their transaction do not wait for the disk."""
    with noted(installation) as waiting:
        store.release(claim(installation, queue), using=installation.alias)
        assert waiting() == ["off", "off"]


@pytest.mark.parametrize(("hasty", "waited"), [(True, "off"), (False, "on")])
def test_rows_that_are_named_elsewhere_wait(
    installation: Installation, hasty: bool, waited: str
) -> None:
    """A row that is forgotten leaves its number to another, and Redis's copy would let that go."""
    installation.queue("video.#")
    installation.declare()
    using = installation.alias
    store.put([Message(queue=OUTBOX, body=b"", routing_key="video.upload")], using=using)
    outbox = store.claim(OUTBOX, 1, timedelta(minutes=1), using=using)
    with noted(installation, "AFTER INSERT") as waiting:
        Relay(installation.broker, using)._spread(outbox, of_database(using), hasty=hasty)
        assert waiting() == [waited]
