"""Real broker servers on loopback, each with a data folder and ports of its own, to be killed and started again."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path

import pika
import psycopg
import redis

from db.embedded.place import find_place
from db.embedded.server import bring_up, has_ended, stop

START_SECONDS, EPMD_SECONDS, LOOK_SECONDS = 90.0, 5.0, 0.05

CONSUMER_TIMEOUT_MS = 2_000
"""How long RabbitMQ lets a message be unacknowledged, here; 30 minutes where nobody sets it."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class BrokerServer(ABC):
    """A server that lives until `close`. `url` stays the same when it is started again."""

    name: str
    program: str | None
    url: str

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"veilrun-{self.name}-"))
        self.folder.chmod(0o711)

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here, or None."""
        if cls.program is None or cls.path() is not None:
            return None
        return f"{cls.program} is not installed"

    @classmethod
    def path(cls) -> str | None:
        return shutil.which(cls.program or "", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")

    @abstractmethod
    def start(self) -> None:
        """Return when it takes connections."""

    @abstractmethod
    def kill(self) -> None:
        """kill -9. Returns when nothing of it is left."""

    @abstractmethod
    def wipe(self) -> None:
        """Lose all messages, as an operator's mistake would, with processes at work or without."""

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class _Started(BrokerServer):
    """A server that is one process group of ours."""

    process: "subprocess.Popen[bytes] | None" = None

    def spawn(self, command: list[str], **environment: str) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = (self.folder / "server.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.name} did not start: {tail}")
            time.sleep(LOOK_SECONDS)

    @abstractmethod
    def answers(self) -> bool: ...

    def kill(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class RedisServer(_Started):
    """Without persistence: what is in it is lost with it."""

    name, program = "redis", "redis-server"

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.spawn([self.path() or "", *options, "--dir", str(self.folder)])

    def answers(self) -> bool:
        try:
            with redis.Redis(port=self.port) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def wipe(self) -> None:
        with redis.Redis(port=self.port) as client:
            client.flushall()


class RabbitmqServer(_Started):
    """A node of its own, with an epmd of its own; it breaks a channel that holds a message for two seconds."""

    name, program = "rabbitmq", "rabbitmq-server"
    SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    """What Debian's program of that name calls, as one user and with one place for all nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.port, self.distribution_port, self.epmd_port = free_port(), free_port(), free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self.port}\n"
            f"consumer_timeout = {CONSUMER_TIMEOUT_MS}\n"
            "log.console = true\nlog.console.level = error\nlog.file = false\n"
        )
        (self.folder / "advanced.config").write_text("[{rabbit, [{channel_tick_interval, 500}]}].\n")
        (self.folder / "enabled_plugins").write_text("[].\n")

    def start(self) -> None:
        folder = str(self.folder)
        self.spawn(
            [str(self.SCRIPT) if self.SCRIPT.exists() else self.path() or ""],
            HOME=folder,
            RABBITMQ_NODENAME=f"veilrun-{self.port}@localhost",
            RABBITMQ_CONF_ENV_FILE=os.devnull,
            RABBITMQ_CONFIG_FILE=f"{folder}/rabbitmq.conf",
            RABBITMQ_ADVANCED_CONFIG_FILE=f"{folder}/advanced.config",
            RABBITMQ_ENABLED_PLUGINS_FILE=f"{folder}/enabled_plugins",
            RABBITMQ_MNESIA_BASE=f"{folder}/mnesia",
            RABBITMQ_LOG_BASE=f"{folder}/log",
            RABBITMQ_DIST_PORT=str(self.distribution_port),
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +S 1:1",
            **self._epmd,
        )

    @property
    def _epmd(self) -> dict[str, str]:
        return {"ERL_EPMD_PORT": str(self.epmd_port), "ERL_EPMD_ADDRESS": "127.0.0.1"}

    def answers(self) -> bool:
        try:
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True

    def wipe(self) -> None:
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            for queue in ("veilrun.execute", "veilrun.deliver"):
                channel.queue_delete(queue)

    def close(self) -> None:
        super().close()
        epmd, deadline = shutil.which("epmd"), time.monotonic() + EPMD_SECONDS
        while epmd and time.monotonic() < deadline:  # a daemon; it ends only when no node is known to it any more
            environment = {**os.environ, **self._epmd}
            if b"Killed" in subprocess.run([epmd, "-kill"], env=environment, capture_output=True, check=False).stdout:
                return
            time.sleep(LOOK_SECONDS)


class PostgresServer(BrokerServer):
    """A server for the broker alone, so that it can go away and leave the jobs' one."""

    name, program = "postgresql", None

    def __init__(self) -> None:
        super().__init__()
        self.place = find_place(self.folder)
        self.url = self.place.dsn

    def start(self) -> None:
        bring_up(self.place)

    def kill(self) -> None:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pid = int((self.place.data / "postmaster.pid").read_text().splitlines()[0])
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        while not has_ended(self.place):
            time.sleep(LOOK_SECONDS)

    def wipe(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("drop schema if exists dramatiq cascade")

    def close(self) -> None:
        stop(self.place)
        shutil.rmtree(self.folder, ignore_errors=True)


SERVERS: dict[str, type[BrokerServer]] = {
    server.name: server for server in (PostgresServer, RedisServer, RabbitmqServer)
}
