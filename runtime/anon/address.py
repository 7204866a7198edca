"""Addresses of hidden services, checked by their text alone.

A v3 address is base32(public key | checksum | version), 56 characters, and a suffix. The suffix tells the daemon's
series: 0.4.9 knows `.anon` only, 0.4.10 `.anyone` only, and the checksum is made with another prefix in each, so that
the same key has two addresses and swapping the suffix never works (feature/hs/hs_common.h, hs_service.c).
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from runtime.api.errors import VeilrunError

LABEL_LENGTH, KEY_BYTES, VERSION = 56, 32, b"\x03"

SERIES = {".anon": "0.4.9", ".anyone": "0.4.10"}
"""Suffix -> the series of daemons that speaks it."""


class AddressInvalid(VeilrunError):
    """This is not the address of a hidden service. The text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class HiddenAddress:
    """An address whose length, characters and checksum are right. label: the 56 characters, in lower case."""

    label: str
    suffix: str

    @classmethod
    def parse(cls, host: str) -> "HiddenAddress":
        """From a host name. Raises: AddressInvalid."""
        label, dot, ending = host.casefold().rpartition(".")
        suffix = dot + ending
        if suffix not in SERIES:
            raise AddressInvalid(f"it ends in {suffix or host!r}, not in {' or '.join(SERIES)}")
        if len(label) != LABEL_LENGTH:
            raise AddressInvalid(
                f"it has {len(label)} characters before {suffix}, not {LABEL_LENGTH}; short names are not accepted"
            )
        try:
            raw = base64.b32decode(label.upper())
        except binascii.Error as error:
            raise AddressInvalid("it holds characters other than a-z and 2-7") from error
        key, version = raw[:KEY_BYTES], raw[-1:]
        if version != VERSION or label != _label(key, suffix):
            others = [other for other in SERIES if other != suffix and label == _label(key, other)]
            if others:
                raise AddressInvalid(f"its checksum belongs to the suffix {others[0]}: the suffix was changed by hand")
            raise AddressInvalid("its checksum is wrong; a character was changed or lost, copy it again")
        return cls(label, suffix)

    @classmethod
    def of(cls, public_key: bytes, suffix: str) -> "HiddenAddress":
        """The address of the service with this ed25519 public key (32 bytes)."""
        return cls(_label(public_key, suffix), suffix)

    def suits(self, version: str) -> bool:
        """Whether a daemon of that version can reach it."""
        return self.suffix == suffix_of(version)

    def __str__(self) -> str:
        return self.label + self.suffix


def suffix_of(version: str) -> str:
    """The suffix that a daemon of that version ("0.4.9.11-live") speaks; `.anyone` from 0.4.10 on."""
    numbers = tuple(int(part) for part in version.partition("-")[0].split(".")[:3] if part.isdigit())
    return ".anyone" if numbers >= (0, 4, 10) else ".anon"


def required_series(suffix: str) -> str:
    """The series of daemons that speaks the suffix."""
    return SERIES[suffix]


def _label(key: bytes, suffix: str) -> str:
    checksum = hashlib.sha3_256(f"{suffix} checksum".encode() + key + VERSION).digest()[:2]
    return base64.b32encode(key + checksum + VERSION).decode().lower()
