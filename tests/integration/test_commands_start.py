"""Do the commands, as programs, end with the right exit code, and refuse wrong settings at once?"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from tests import processes
from tests.integration.commands import program

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_exit_codes_are_what_a_script_needs():
    """0 when it is as it should be, 1 when it is not or was refused, 2 when not understood."""
    assert program("declare_topology", "--check").returncode == 1
    assert program("declare_topology").returncode == 0
    assert program("declare_topology", "--check").returncode == 0
    assert program("publish_event", "a.b", "{").returncode == 1
    assert program("publish_event").returncode == 2
    assert program("redrive_dead_letters").returncode == 1
    assert program("prune_router_history", "--older-than", "0").returncode == 1


def test_the_status_is_a_success_whatever_it_says():
    """The exit code says whether there is an answer; what the answer is, is in the JSON."""
    done = program("router_status", "--json", BROKER_URL="amqp://127.0.0.1:1//")

    assert done.returncode == 0
    assert json.loads(done.stdout)["broker"]["reachable"] is False


@pytest.mark.parametrize("options", [(), ("--json",), ("--watch", "0.01")])
def test_the_status_ends_quietly_when_nobody_reads_any_more(options):
    """As in ``router_status --watch | head -1``: who has read enough sees no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "django", "router_status", *options],
            env=processes.environment(),
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["check", "run_router_worker", "router_status", "migrate"])
def test_wrong_settings_are_one_readable_message(command):
    """A management command names the key and the fix, without a traceback."""
    done = program(command, BROKER_ULR="amqp://")

    assert done.returncode == 1
    assert "(taskrouting.E001) TASKROUTING has an unknown key 'BROKER_ULR'." in done.stderr
    assert "Did you mean 'BROKER_URL'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_skipping_the_checks_does_not_start_a_worker_with_wrong_settings():
    """The settings are refused where they are read."""
    done = program("run_router_worker", "--skip-checks", BROKER_ULR="amqp://")

    assert done.returncode == 1
    assert "TASKROUTING has an unknown key 'BROKER_ULR'" in done.stderr


def test_a_server_does_not_start_with_wrong_settings():
    """Gunicorn runs no checks; it must not wait for the first event to find out."""
    served = subprocess.run(
        [sys.executable, "-c", "from django.core.wsgi import get_wsgi_application as get; get()"],
        env=processes.environment(BROKER_ULR="amqp://"),
        capture_output=True,
        text=True,
    )

    assert served.returncode == 1
    last = served.stderr.strip().splitlines()[-1]
    assert last.startswith("taskrouting.exceptions.ConfigurationError: TASKROUTING has an unknown")


def test_a_worker_is_refused_a_broker_that_cannot_be():
    """Errors of the checks stop a worker before it consumes anything."""
    done = program("run_router_worker", BROKER_URL="ampq://guest:secret@h")

    assert done.returncode == 1
    assert "(taskrouting.E002)" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("option", ["--health-port", "--metrics-port"])
@pytest.mark.parametrize("command", ["run_router_worker", "run_router_relay"])
def test_a_port_that_is_taken_is_all_that_is_said(command, option):
    """Nothing is consumed then, so nobody reads that something is."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = program(command, "--burst", "--health-host", "127.0.0.1", option, str(port))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"CommandError: Cannot listen on 127.0.0.1, port {port}: Address already in use. Give "
        "another --health-port, --metrics-port or --health-host, or end what listens there.\n"
    )


@pytest.mark.parametrize(
    "command",
    [
        "run_router_worker --burst",
        "run_router_relay --burst",
        "publish_event video.upload",
        "explain_route video.upload",
        "declare_topology",
        "router_status",
        "redrive_dead_letters --all",
        "prune_router_history --older-than 30",
    ],
)
def test_a_forgotten_migrate_is_one_sentence(command, tmp_path):
    """It names the database and what to type, without a traceback."""
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "empty.sqlite3")}
    done = subprocess.run(
        [sys.executable, "-m", "django", *command.split()],
        env={**processes.environment(), "DEPOT_DATABASE": json.dumps(database)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "CommandError: The tables of taskrouting are not in database 'default'. Run: manage.py "
        "migrate"
    )
    assert "Traceback" not in done.stderr
