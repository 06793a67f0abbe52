"""Who answers on a worker's ports, and touches its file? The companion, in threads of its own."""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from django.db import connections

from taskrouting.consuming.seats import Seat
from taskrouting.exceptions import ConfigurationError

from . import exposition, judgement

logger = logging.getLogger("taskrouting.supervisor")

#: Seconds between two looks at whether the file is to be touched.
EVERY = 1.0

#: Seconds that a client has to send its request.
TIMEOUT = 10.0

#: The status, the body and its content type.
Answer = tuple[int, bytes, str]

#: What is answered where, given the request's Accept header.
Answers = Mapping[str, Callable[[str], Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is to be told about a worker's processes, and where."""

    host: str = ""
    health_port: int | None = None
    metrics_port: int | None = None
    health_file: Path | None = None

    #: The ports by number, open since before any process is started.
    listeners: Mapping[int, socket.socket] = field(default_factory=dict)

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be told anything."""
        return any(
            each is not None for each in (self.health_port, self.metrics_port, self.health_file)
        )

    def opened(self) -> Watch:
        """Open the ports. Raises ConfigurationError for one that cannot be."""
        if self.metrics_port is not None:
            exposition.require_client()
        ports = {port for port in (self.health_port, self.metrics_port) if port is not None}
        with ExitStack() as opened:  # all of them, or none
            listeners = {
                port: opened.enter_context(_listen(self.host, port)) for port in sorted(ports)
            }
            opened.pop_all()
        return Watch(
            host=self.host,
            health_port=self.health_port,
            metrics_port=self.metrics_port,
            health_file=self.health_file,
            listeners=listeners,
        )

    def keep(self, seats: Sequence[Seat], lifeline: int) -> None:
        """Answer and touch the file, until ``lifeline`` can be read."""
        since = time.monotonic()
        for port, listener in self.listeners.items():
            server = _Server(listener, self._answers(port, seats, since))
            threading.Thread(target=server.serve_forever, daemon=True).start()
        touched = 0.0
        while not select.select([lifeline], [], [], EVERY)[0]:
            if self.health_file is not None and (last := judgement.slowest_round(seats)) > touched:
                touched = last
                _touch(self.health_file)

    def _answers(self, port: int, seats: Sequence[Seat], since: float) -> Answers:
        answers: dict[str, Callable[[str], Answer]] = {}
        if port == self.health_port:
            answers["/health/live"] = lambda accept: _told(judgement.live(seats, since))
            answers["/health/ready"] = lambda accept: _told(judgement.ready(seats))
        if port == self.metrics_port:
            answers["/metrics"] = partial(_metrics, seats, since)
        return answers


def _told(verdict: judgement.Verdict) -> Answer:
    body = json.dumps(verdict.as_json(), indent=2).encode() + b"\n"
    return verdict.status, body, "application/json"


def _metrics(seats: Sequence[Seat], since: float, accept: str) -> Answer:
    live = sum(not judgement.live([seat], since).reasons for seat in seats)
    try:
        body, content_type = exposition.of_seats(seats, live, accept)
    finally:
        connections.close_all()  # this thread ends with its request
    return 200, body, content_type


def _touch(file: Path) -> None:
    try:
        file.touch()
    except OSError as error:
        logger.error("The health file cannot be touched: %s", error)


def _listen(host: str, port: int) -> socket.socket:
    """Listen on one port; without a host on all addresses, of IPv6 too where there is that."""
    try:
        if host:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((host, port), family=family)
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        place = f"{host or 'all addresses'}, port {port}"
        why = (
            error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        )
        raise ConfigurationError(
            f"Cannot listen on {place}: {why}. Give another --health-port, --metrics-port or "
            "--health-host, or end what listens there."
        ) from error


class _Server(ThreadingHTTPServer):
    """Answers on a socket that listens already."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, answers: Answers) -> None:
        super().__init__(("", 0), _Request, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.answers = answers


class _Request(BaseHTTPRequestHandler):
    """One request. The names are those that the standard library calls."""

    server: _Server
    timeout = TIMEOUT
    server_version, sys_version = "taskrouting", ""

    def answer(self) -> None:
        """Answer it."""
        answered = self.server.answers.get(urlsplit(self.path).path)
        places = "".join(f"{place}\n" for place in self.server.answers)
        missing = (404, f"There is:\n{places}".encode(), "text/plain; charset=utf-8")
        status, body, content_type = (
            answered(self.headers.get("Accept", "")) if answered else missing
        )
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = answer  # noqa: N815  # as the standard library calls them

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: probes come every few seconds."""
        logger.debug(format, *args)
