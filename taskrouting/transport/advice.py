"""What may be wrong where the broker is there and says no? A hint behind its answer."""

from __future__ import annotations

from urllib.parse import urlsplit

#: What RabbitMQ answers about a user, and about a vhost, that it does not have.
REFUSED, UNKNOWN = 403, 530


def advice(url: str, error: BaseException) -> str:
    """Say what to look at after ``error``, as the end of a sentence; empty if we do not know.

    Waiting rarely helps here, but somebody may be mending it: whoever reads this tries again.
    """
    code, text = getattr(error, "reply_code", None), str(error)
    if code == REFUSED and "Login was refused" in text:
        return " Are user and password in TASKROUTING['BROKER_URL'] right?"
    if code == UNKNOWN and "vhost" in text:
        return _about_vhost(urlsplit(url).path[1:])
    return ""


def _about_vhost(name: str) -> str:
    if name.startswith("/") and len(name) > 1:
        return (
            f" After two slashes in TASKROUTING['BROKER_URL'] the vhost is called {name!r}; for "
            f"{name[1:]!r} write one."
        )
    return f" Create it (rabbitmqctl add_vhost {name}), or name another in BROKER_URL."
