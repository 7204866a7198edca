"""The private keys by which hidden services know us (v3 client authorization), read from the operator's files."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from runtime.anon.address import AddressInvalid, HiddenAddress
from runtime.anon.errors import AnonError
from runtime.registry import BackendConfig

KEY_BYTES = 32


class ClientKeyInvalid(AnonError):
    """A backend's client_key_file cannot be used. The text never quotes what is in it."""


def read_client_keys(backends: Iterable[BackendConfig]) -> dict[HiddenAddress, bytes]:
    """Hidden service -> our x25519 private key (32 bytes), for every backend that has a client_key_file.

    Raises: ClientKeyInvalid, naming the backend.
    """
    return {
        _address(backend): read_client_key(backend.client_key_file)
        for backend in backends
        if backend.client_key_file is not None
    }


def read_client_key(file: Path) -> bytes:
    """The key in `file`: one line, in base32 without padding, or as in an .auth_private file (address:descriptor:…).

    Raises: ClientKeyInvalid.
    """
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ClientKeyInvalid(f"client key file {file} cannot be read: {type(error).__name__}") from error
    if mode & 0o077:
        raise ClientKeyInvalid(f"client key file {file} is open to other users: chmod 600 it")
    try:
        key = base64.b32decode(text.rpartition(":")[2].upper() + "====")
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ClientKeyInvalid(f"client key file {file} holds no key: it should be what `veilrun anon authorize` gave")
    return key


def write_authorizations(folder: Path, keys: Mapping[HiddenAddress, bytes]) -> None:
    """Write the keys where a daemon of ours reads them, and take away what is there of others (anon(1), CLIENT AUTH).

    Given over the control port, they would be gone after the next SIGNAL NEWNYM (feature/hs/hs_client.c).
    """
    for old in folder.glob("*.auth_private"):
        old.unlink()
    for address, key in keys.items():
        file = folder / f"{address.label}.auth_private"
        file.touch(mode=0o600)
        text = base64.b32encode(key).decode().rstrip("=")
        file.write_text(f"{address.label}:descriptor:x25519:{text}\n", encoding="ascii")


def _address(backend: BackendConfig) -> HiddenAddress:
    try:
        return HiddenAddress.parse(urlsplit(backend.url).hostname or "")
    except AddressInvalid as error:
        raise ClientKeyInvalid(f"backend {backend.name}: {error}") from error
