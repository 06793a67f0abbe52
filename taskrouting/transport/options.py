"""With which options is a transport opened? Those without which it hangs, loses or disturbs."""

from __future__ import annotations

import socket
from typing import Any

from taskrouting import conf

#: How long one attempt to connect may take.
CONNECT_TIMEOUT = 4.0

#: The patience of those who have all the time it takes.
PATIENCE = float("inf")


def defaults(name: str, settings: conf.Settings) -> dict[str, Any]:
    """Transport options without which the transport hangs, loses or disturbs its neighbours."""
    if name == "amqp":
        # py-amqp's own limit of one second is shorter than a pause of RabbitMQ under load.
        # And no answer is waited for longer on a connection that is dead and does not say so.
        patience = {socket.TCP_USER_TIMEOUT: 30_000}
        return {"socket_settings": patience, "write_timeout": 30, "read_timeout": 30}
    if name == "redis":
        return {
            # A frozen server must not hold us forever; longer than BRPOP's second.
            "socket_timeout": 10,
            "socket_connect_timeout": CONNECT_TIMEOUT,
            "socket_keepalive": True,
            # Ours settle soon (a long handler runs under a lease in the store), so what a dead
            # worker held comes back soon; a copy too many is a DUPLICATE.
            "visibility_timeout": int(2 * settings.lease.total_seconds()),
            "unacked_restore_throttle": 1,
            # Who dies while he gives back must not keep everybody else from it for five minutes.
            "unacked_mutex_expire": 5,
            # Kombu's own names are one for all programs on the database, and so is the shortest
            # visibility timeout among them.
            "unacked_key": f"{settings.exchange}.unacked",
            "unacked_index_key": f"{settings.exchange}.unacked_index",
            "unacked_mutex_key": f"{settings.exchange}.unacked_mutex",
        }
    if name == "django":
        return {"lease": settings.lease, "alias": settings.database}
    if name == "sqs":
        return {
            # A long poll, one queue after the other, would keep the thread that owns the
            # connection from settling and from stopping.
            "wait_time_seconds": 0,
            "visibility_timeout": int(2 * settings.lease.total_seconds()),
        }
    if name in ("memory", "filesystem"):
        return {"polling_interval": 0.02}
    return {}


def impatient(name: str, seconds: float) -> dict[str, Any]:
    """Transport options for those who want an answer within ``seconds`` or none; they go first."""
    if seconds == PATIENCE:
        return {}
    if name == "amqp":
        return {"write_timeout": seconds, "read_timeout": seconds}
    if name == "redis":
        return {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    if name == "sqs":
        once = {"max_attempts": 0}
        return {
            "client-config": {
                "connect_timeout": seconds,
                "read_timeout": seconds,
                "retries": once,
            }
        }
    return {}
