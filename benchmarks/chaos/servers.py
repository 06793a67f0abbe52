"""Which servers may be killed? PostgreSQL, RabbitMQ and Redis, started for one run alone.

Each lives in a folder of its own on a port of its own, and is gone with the block that started it.
A kill is SIGKILL to all its processes; what it had written is still there when it starts again,
as after any death that is not the machine's.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import amqp
import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .server import Server

#: PostgreSQL refuses to run as root.
UNPRIVILEGED = "postgres" if os.geteuid() == 0 else None

Kind = TypeVar("Kind", bound=Server)


class Postgres(Server):
    """A PostgreSQL cluster with one database, ``chaos``."""

    name = "postgres"
    user = UNPRIVILEGED
    farewell = signal.SIGINT  # do not wait for clients

    @property
    def url(self) -> str:
        """Where it is, as ``DATABASE_URL`` says it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/chaos"

    def create(self) -> None:
        """Make the cluster and its database; leave it running."""
        if self.user:
            shutil.chown(self.folder, self.user)
        options = ["--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"]
        command = [_postgres_program("initdb"), *options, "-D", str(self.folder / "data")]
        subprocess.run(command, check=True, capture_output=True, cwd="/", user=self.user)
        self.start()
        with self._connection() as connection:
            connection.execute("CREATE DATABASE chaos")

    def command(self) -> Sequence[str]:
        """The postmaster."""
        # A kill takes nothing that was handed to the operating system, so fsync would only cost.
        tuning = {"listen_addresses": "127.0.0.1", "port": self.port, "fsync": "off",
                  "unix_socket_directories": self.folder, "max_connections": 200}  # fmt: skip
        options = [word for key, value in tuning.items() for word in ("-c", f"{key}={value}")]
        return [_postgres_program("postgres"), "-D", str(self.folder / "data"), *options]

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            self._connection().close()
        except psycopg.OperationalError:
            return False
        return True

    def cut(self) -> None:
        """Close every connection from its side."""
        with self._connection() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )

    def _connection(self) -> psycopg.Connection:
        url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        return psycopg.connect(url, autocommit=True, connect_timeout=2)


class RabbitMQ(Server):
    """A RabbitMQ node."""

    name = "rabbitmq"

    #: Further lines of ``rabbitmq.conf``.
    configuration: Sequence[str] = ()

    @property
    def url(self) -> str:
        """Where it is, as ``BROKER_URL`` says it."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def command(self) -> Sequence[str]:
        """The node."""
        return [_rabbitmq_program("rabbitmq-server")]

    def environment(self) -> Mapping[str, str]:
        """A node's name, ports and folders of its own."""
        configuration = self.folder / "rabbitmq.conf"
        listener = f"listeners.tcp.local = 127.0.0.1:{self.port}"
        configuration.write_text("\n".join([listener, *self.configuration]) + "\n")
        return {
            **os.environ,
            "HOME": str(self.folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_NODENAME": f"chaos{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(_free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none",
        }

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=2):
                return True
        except (OSError, amqp.AMQPError):
            return False

    def cut(self) -> None:
        """Close every connection from its side."""
        self.control("close_all_connections", "cut")

    def control(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` on this node; return what it prints."""
        command = [_rabbitmq_program("rabbitmqctl"), "-q", "-n", f"chaos{self.port}@localhost"]
        return subprocess.run(
            [*command, *arguments],
            env=dict(self.environment()),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            text=True,
        ).stdout


class Redis(Server):
    """A Redis that keeps nothing on disk, as it is by default in many installations."""

    name = "redis"

    @property
    def url(self) -> str:
        """Where it is, as ``BROKER_URL`` says it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        """The server."""
        options = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "appendonly": "no"}
        return [_program("redis-server"), *(word for key, value in options.items()
                                  for word in (f"--{key}", value))]  # fmt: skip

    def answers(self) -> bool:
        """Whether it answers."""
        try:
            with self._client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def cut(self) -> None:
        """Close every connection from its side."""
        with self._client() as client:
            client.client_kill_filter(_type="normal", skipme=True)

    def flush(self) -> None:
        """Forget everything."""
        with self._client() as client:
            client.flushall()

    def _client(self) -> redis.Redis:
        once = Retry(NoBackoff(), 0)
        return redis.Redis(port=self.port, socket_timeout=2, socket_connect_timeout=2, retry=once)


@contextmanager
def running(kind: type[Kind]) -> Iterator[Kind]:
    """A server that only this block uses; killed and removed after it."""
    with tempfile.TemporaryDirectory(prefix=f"{kind.name}-", ignore_cleanup_errors=True) as folder:
        server = kind(Path(folder), _free_port())
        try:
            if isinstance(server, Postgres):
                server.create()
            else:
                _raise_file_limit()
                server.start()
            yield server
        finally:
            server.resume()
            server.kill()


def missing(kind: type[Server]) -> str:
    """Say what must be installed before this kind can run here; empty if all is there."""
    try:
        kind(Path(), 0).command()
    except FileNotFoundError as error:
        return str(error)
    return ""


def _postgres_program(name: str) -> str:
    """Debian keeps the server's programs off the PATH, in a folder per version."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
    return _program(name, [str(folder) for folder in reversed(folders)])


def _rabbitmq_program(name: str) -> str:
    """Debian's command on the PATH changes to another user, who has no part in our folder."""
    return _program(name, ["/usr/lib/rabbitmq/bin"])


def _program(name: str, first: Sequence[str] = ()) -> str:
    found = shutil.which(name, path=os.pathsep.join([*first, os.environ.get("PATH", "")]))
    if found is None:
        raise FileNotFoundError(f"{name} is not installed here.")
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        return int(chosen.getsockname()[1])


def _raise_file_limit() -> None:
    """RabbitMQ keeps files open for every queue, and stands still when it has no more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
