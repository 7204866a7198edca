"""Secrets of the console: a link's, a session's, and what its forms have to say. Only digests are stored."""

import hashlib
import hmac
import re
import secrets

LINK_SECONDS = 600.0
"""For so long a link signs in."""

SESSION_SECONDS, IDLE_SECONDS = 12 * 3600.0, 2 * 3600.0
"""The longest that a session lasts, and how long it outlasts the last open page."""

_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")


def new_secret() -> str:
    """256 random bits, fit for an address and a cookie."""
    return secrets.token_urlsafe(32)


def is_secret(text: str) -> bool:
    """Whether it has the shape of one; anything else need not be looked for."""
    return _SHAPE.fullmatch(text) is not None


def digest(secret: str) -> bytes:
    """What is stored of it."""
    return hashlib.sha256(secret.encode()).digest()


def form_key(secret: str) -> str:
    """What every form of the session must say: it follows from the session's secret, which no other page can read."""
    return hmac.digest(secret.encode(), b"veilrun console form", "sha256").hex()


def is_form_key(secret: str, said: str) -> bool:
    """Whether a form of this session said it."""
    return hmac.compare_digest(form_key(secret).encode(), said.encode())
