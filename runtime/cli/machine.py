"""The child processes that make up one machine."""

import socket

from runtime.api import VeilrunError
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.supervisor import Child, child_environment, python_module

WEB, WORKER, ANON = python_module("webhooks"), python_module("runtime.worker"), python_module("runtime.anon")


class CannotListen(VeilrunError):
    """The address is taken, or is none of this machine."""


def listening(host: str, port: int) -> socket.socket:
    """A listening socket that web processes inherit, so that it stays open while one is started again.

    Raises: CannotListen.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise CannotListen(f"{host} port {port}: {reason}; choose with VEILRUN_HOST and VEILRUN_PORT") from error


def machine(dsn: str, listener: socket.socket, workers: int, **environment: str) -> list[Child]:
    """The children of one machine: a web process on `listener`, and `workers` workers."""
    descriptor = listener.fileno()
    shared = child_environment(DATABASE_URL=dsn, VEILRUN_LISTEN_FD=str(descriptor), **environment)
    return [Child("web", WEB, shared, pass_fds=(descriptor,)), *worker_children(shared, workers)]


def anon_children(environment: dict[str, str]) -> list[Child]:
    """The process that keeps this machine's anon; it stands by if another one does already."""
    return [Child("anon", ANON, environment)]


def needs_anon(registry: Registry, settings: Settings) -> bool:
    """Whether anything here goes through the Anyone network."""
    return settings.telegram_via == "anon" or any(backend.transport == "anon" for backend in registry.backends)


def worker_children(environment: dict[str, str], count: int) -> list[Child]:
    """`count` worker processes."""
    return [Child(f"worker-{number}", WORKER, environment) for number in range(1, count + 1)]
