"""The link that signs an operator in to the console, once."""

from psycopg import AsyncConnection

from db import console_access
from runtime.api import VeilrunError
from runtime.console.keys import LINK_SECONDS, digest, new_secret
from runtime.settings import Settings

PATH = "/console"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}


class NoAddress(VeilrunError):
    """Nobody can say where the web process listens."""


class ConsoleOff(VeilrunError):
    """The deployment has no console: VEILRUN_CONSOLE says so."""


def address_of(settings: Settings, *, local: bool = False) -> str:
    """Where operators find the web process: VEILRUN_PUBLIC_URL, or its own address on this machine if `local` or if
    there is none.

    Raises: NoAddress if it takes any free port; ConsoleOff.
    """
    if not settings.console:
        raise ConsoleOff("VEILRUN_CONSOLE is false: the web process has no console")
    if settings.public_url and not local:
        return settings.public_url.rstrip("/")
    if not settings.port:
        raise NoAddress("VEILRUN_PORT is 0, so the port is known to the web process alone: set VEILRUN_PUBLIC_URL")
    host = _EVERYWHERE.get(settings.host, f"[{settings.host}]" if ":" in settings.host else settings.host)
    return f"http://{host}:{settings.port}"


async def make_link(connection: AsyncConnection, address: str) -> str:
    """A link at this address that signs in once, within LINK_SECONDS."""
    secret = new_secret()
    await console_access.add_link(connection, digest(secret), LINK_SECONDS)
    return f"{address}{PATH}/sign-in/{secret}"
