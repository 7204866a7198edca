"""Who uses the private network: clients and hidden services, each a daemon of its own."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.onion.daemon import PHASE_SECONDS, Daemon, free_port


class Client(Daemon):
    """A running client. Addresses are (host, port)."""

    def __init__(self, binary: Path, folder: Path, lines: Sequence[str]) -> None:
        self.socks = ("127.0.0.1", free_port())
        """For hidden services only, with extended errors."""
        self.exit_socks = ("127.0.0.1", free_port())
        """For other names and addresses, through the exit: it reaches 127.0.0.0/8."""
        self.control_address = ("127.0.0.1", free_port())
        self.cookie_file = folder / "control_auth_cookie"
        self.authorizations = folder / "authorizations"
        """Put `*.auth_private` files here, then `ask("SIGNAL RELOAD")`."""
        own = [
            f"SocksPort 127.0.0.1:{self.socks[1]} ExtendedErrors OnionTrafficOnly",
            f"SocksPort 127.0.0.1:{self.exit_socks[1]} ExtendedErrors",
            f"ControlPort 127.0.0.1:{self.control_address[1]}",
            f"CookieAuthFile {self.cookie_file}",
            f"ClientOnionAuthDir {self.authorizations}",
            "ClientOnly 1",
        ]
        super().__init__(binary, folder, [*own, *lines])
        self.authorizations.mkdir(mode=0o700)


class Service(Daemon):
    """A running hidden service; its key stays the same over restarts."""

    events = "STATUS_CLIENT HS_DESC"

    def __init__(
        self,
        binary: Path,
        folder: Path,
        target_port: int,
        virtual_port: int,
        authorized: Mapping[str, str],
        lines: Sequence[str],
    ) -> None:
        self._keys = folder / "service"
        own = [
            f"HiddenServiceDir {self._keys}",
            "HiddenServiceVersion 3",
            f"HiddenServicePort {virtual_port} 127.0.0.1:{target_port}",
        ]
        super().__init__(binary, folder, ["SocksPort 0", *own, *lines])
        (self._keys / "authorized_clients").mkdir(mode=0o700, parents=True)
        self._keys.chmod(0o700)
        for name, public_key in authorized.items():
            self._authorize(name, public_key)

    @property
    def address(self) -> str:
        """56 characters and the suffix that this version of anon speaks."""
        return (self._keys / "hostname").read_text(encoding="ascii").strip()

    def start(self) -> None:
        """Start and wait until its descriptors are with the directories, so that a client finds it."""
        super().start()
        self._wait_until_published()

    def authorize(self, name: str, public_key: str) -> None:
        """Let in who has the private key to this one (x25519, base32); all others are out from the first one on."""
        self._authorize(name, public_key)
        self.ask("SIGNAL RELOAD")

    def _authorize(self, name: str, public_key: str) -> None:
        line = f"descriptor:x25519:{public_key}\n"
        (self._keys / "authorized_clients" / f"{name}.auth").write_text(line, encoding="ascii")

    def _wait_until_published(self) -> None:
        """A service has two descriptors, for this time period and the next, and each goes to several directories."""
        begun: list[str] = []
        over = 0
        deadline = time.monotonic() + PHASE_SECONDS
        while len(set(begun)) < 2 or over < len(begun):
            match self.event("publication of the descriptors", deadline).split():
                case ["650", "HS_DESC", "UPLOAD", _, _, _, descriptor, *_]:
                    begun.append(descriptor)
                case ["650", "HS_DESC", "UPLOADED" | "FAILED", *_]:
                    over += 1
