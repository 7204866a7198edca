"""Who may reach a hidden service: one file for each client in the service's folder (v3 client authorization).

To anon, an empty folder means that everybody may. So a locked service always has one client more: a key whose private
part nobody has.
"""

import re
from pathlib import Path

from runtime.anon.anonrc import private_folder
from runtime.anon.errors import AnonError
from runtime.anon.keys import KeyPair

NOBODY = "nobody"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}")


class ClientNameInvalid(AnonError):
    """The name cannot be used for a client, or is used already."""


class UnknownClient(AnonError):
    """No client of that name is authorized."""


class Clients:
    """The authorized clients of the service in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "authorized_clients"

    def lock(self) -> None:
        """Let nobody in who is not authorized."""
        if not self._file(NOBODY).exists():
            self._write(NOBODY, KeyPair.new().public)

    def open(self) -> None:
        """Let everybody in who knows the address. Raises: ClientNameInvalid if somebody is authorized by name."""
        if self.names():
            raise ClientNameInvalid(
                f"this service is for {', '.join(self.names())} only; revoke them before you open it to everybody"
            )
        self._file(NOBODY).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """The names of those who may come in, sorted."""
        return sorted(file.stem for file in self._folder.glob("*.auth") if file.stem != NOBODY)

    def authorize(self, name: str) -> KeyPair:
        """Let a new client in. The private part of the pair is stored nowhere. Raises: ClientNameInvalid."""
        if not NAME.fullmatch(name) or name == NOBODY:
            raise ClientNameInvalid(f"{name!r} cannot be a client's name; write it in A-Z, a-z, 0-9, - and _")
        if self._file(name).exists():
            raise ClientNameInvalid(f"{name} is authorized already; revoke it first to give it a new key")
        pair = KeyPair.new()
        self.lock()
        self._write(name, pair.public)
        return pair

    def revoke(self, name: str) -> None:
        """Let the client in no more. Raises: UnknownClient."""
        if name == NOBODY or not NAME.fullmatch(name) or not self._file(name).exists():
            raise UnknownClient(f"no client is called {name!r}; there are: {', '.join(self.names()) or 'none'}")
        self._file(name).unlink()

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.auth"

    def _write(self, name: str, public: str) -> None:
        private_folder(self._folder.parent)
        private_folder(self._folder)
        file = self._file(name)
        file.touch(mode=0o600)
        file.write_text(f"descriptor:x25519:{public}\n", encoding="ascii")
