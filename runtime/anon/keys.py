"""Key pairs of v3 client authorization: x25519, in base32 without padding (52 characters), as anon wants them."""

import base64
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Both parts, as they are written into files. The private one goes to the client and stays nowhere else."""

    public: str
    private: str = field(repr=False)

    @classmethod
    def new(cls) -> "KeyPair":
        """A pair that nobody has had yet."""
        key = X25519PrivateKey.generate()
        return cls(_text(key.public_key().public_bytes_raw()), _text(key.private_bytes_raw()))


def _text(key: bytes) -> str:
    return base64.b32encode(key).decode().rstrip("=")
