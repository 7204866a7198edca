"""Tokens: 256 random bits that are shown once. Only their SHA-256 is stored; of so many bits nobody finds another
preimage, so a slow hash would protect nothing more.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from db import tokens
from db.pool import Pool
from db.tokens import NewToken, Token
from runtime.functions.errors import CommandNotAllowed, ScopeMissing, TokenInvalid, TokenMissing, TooManyRequests

Scope: TypeAlias = Literal["invoke", "read", "cancel"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

BEGINNING = "veilrun_"
"""What every token begins with, so that scanners for secrets find one that was published by mistake."""

_TOKEN = re.compile(rf"{BEGINNING}[0-9a-f]{{64}}")
_SHOWN = len(BEGINNING) + 6
_SECRET_BYTES = 32  # Standard Webhooks: 24 to 64


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token with its text, and the key of its webhooks' signatures as receivers configure it (`whsec_…`)."""

    row: NewToken
    text: str = field(repr=False)

    @property
    def signing_secret(self) -> str:
        return "whsec_" + base64.b64encode(self.row.signing_secret).decode()


def issue(
    name: str,
    *,
    scopes: Sequence[Scope] = SCOPES,
    commands: Sequence[str] | None = None,
    per_minute: int | None = None,
    open_jobs: int | None = None,
    per_day: int | None = None,
    seconds: float | None = None,
) -> Issued:
    """A token nobody has had before. Store its row; the text is nowhere else. For the rest see NewToken."""
    text = BEGINNING + secrets.token_hex(32)
    row = NewToken(
        name=name,
        prefix=text[:_SHOWN],
        hash=_digest(text),
        signing_secret=secrets.token_bytes(_SECRET_BYTES),
        scopes=scopes,
        commands=commands,
        per_minute=per_minute,
        open_jobs=open_jobs,
        per_day=per_day,
        seconds=seconds,
    )
    return Issued(row, text)


async def admitted(pool: Pool, authorization: str | None, scope: Scope) -> Token:
    """Whose token the header `Authorization: Bearer …` shows. The request counts.

    Raises: TokenMissing, TokenInvalid, TooManyRequests, ScopeMissing; psycopg.OperationalError.
    """
    kind, _, text = (authorization or "").strip().partition(" ")
    text = text.strip()
    if kind.casefold() != "bearer" or not text:
        raise TokenMissing("send the header `Authorization: Bearer veilrun_…` with a token of `veilrun tokens create`")
    if not _TOKEN.fullmatch(text):  # it cannot be one of ours: the database is not asked
        raise TokenInvalid("this is no token of veilrun")
    digest = _digest(text)
    async with pool.connection() as connection:
        used = await tokens.use(connection, digest)
    if used is None or not hmac.compare_digest(used.token.hash, digest):
        raise TokenInvalid("this token is not known here")
    token = used.token
    if token.revoked_at is not None or token.is_expired:
        raise TokenInvalid(f"this token {'was revoked' if token.revoked_at is not None else 'has expired'}")
    if used.wait_seconds > 0:
        raise TooManyRequests(
            f"this token may make {token.per_minute} requests a minute", retry_seconds=used.wait_seconds
        )
    if scope not in token.scopes:
        raise ScopeMissing(f"this needs the scope {scope}; the token has {', '.join(token.scopes)}")
    return token


def may_invoke(token: Token, command: str) -> bool:
    """Whether the token is for this command, which is named by its name and no alias."""
    return token.commands is None or command in token.commands


def check_may_invoke(token: Token, command: str) -> None:
    """Raises: CommandNotAllowed."""
    if not may_invoke(token, command):
        raise CommandNotAllowed(f"this token is for {', '.join(token.commands or ())} only")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
