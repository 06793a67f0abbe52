"""Does one trace lead from the process that publishes to the one that handles, through a broker?"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests import processes
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]


def test_one_trace_leads_through_publisher_relay_and_handler(
    empty_rabbitmq_url, tmp_path, unique_name
):
    """And on to what the handler publishes; each process has written down its own spans."""
    options = {"BROKER_URL": empty_rabbitmq_url, "EXCHANGE": unique_name, "TRACING": True}
    published, worked = tmp_path / "publisher.jsonl", tmp_path / "worker.jsonl"
    variables = {"DEPOT_SPANS": str(published)}
    order = ["publish_event", "depot.write.row", json.dumps({"then": "depot.call.row"})]
    subprocess.run(
        [sys.executable, "-m", "django", *order],
        env={**processes.environment(**options), **variables},
        check=True,
        timeout=60,
    )

    with processes.worker(tmp_path, variables={"DEPOT_SPANS": str(worked)}, **options):
        wait_until(
            lambda: "process call_queue" in names(worked), timeout=30, message="the second handler"
        )

    (create,) = spans(published)
    assert create["name"] == f"create {unique_name}"
    assert create["kind"] == "SpanKind.PRODUCER"
    assert create["attributes"]["messaging.system"] == "rabbitmq"
    inner = named(worked, f"create {unique_name}")
    process = check_handled(create, named(worked, "process write_queue"))
    assert inner["parent_id"] == process["context"]["span_id"]
    check_handled(inner, named(worked, "process call_queue"))

    sent = [span for span in spans(worked) if span["name"] == f"publish {unique_name}"]
    assert {span["kind"] for span in sent} == {"SpanKind.CLIENT"}
    links = [link for span in sent for link in linked(span)]
    assert {create["context"]["span_id"], inner["context"]["span_id"]} <= set(links)


def check_handled(create, process):
    """The run of a handler belongs to the event that it was for; return its span."""
    assert process["kind"] == "SpanKind.CONSUMER"
    assert process["parent_id"] == create["context"]["span_id"]
    assert process["context"]["trace_id"] == create["context"]["trace_id"]
    assert linked(process) == [create["context"]["span_id"]]
    for same in ("messaging.message.id", "messaging.rabbitmq.destination.routing_key"):
        assert process["attributes"][same] == create["attributes"][same]
    return process


def spans(file):
    """The spans that a process has finished so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def names(file):
    """What they are called."""
    return [span["name"] for span in spans(file)]


def named(file, name):
    """The one span of this name."""
    (found,) = [span for span in spans(file) if span["name"] == name]
    return found


def linked(span):
    """The ids of the spans to which it is linked, without what marks them as hexadecimal."""
    return [link["context"]["span_id"] for link in span["links"]]
