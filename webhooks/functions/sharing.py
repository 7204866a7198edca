"""What the routes of one web process have in common."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from db import functions
from db.jobs import Job
from db.pool import Pool
from db.tokens import Token
from runtime.functions.errors import NotFound, TooManyStreams
from runtime.functions.feed import JobFeed
from runtime.functions.invoke import Invoker
from runtime.functions.schema import LARGEST_ID
from runtime.functions.tokens import Scope, admitted
from runtime.functions.views import Viewer
from runtime.registry import LiveRegistry

LOOK_SECONDS = 5.0
"""How often somebody who waits looks at the table without having heard anything."""

ENDING_SECONDS = 0.5
"""How often it is asked whether the server is about to stop."""

MOST_STREAMS, MOST_STREAMS_OF_ONE = 256, 8
"""Event streams, waiting requests and large bodies of one process at a time, of all tokens and of one."""

LARGE_BYTES = 256 * 1024
"""A body of more, or of nobody knows how much, counts as large: they are held in memory."""


@dataclass
class Sharing:
    """Everything that serves requests. is_ending: whether the server is about to stop, which waits for no stream.

    body_bytes: the largest body. has_callbacks: whether result webhooks can be asked for. alive_seconds: after so long
    without an event a stream says that it is there.
    """

    pool: Pool
    live: LiveRegistry
    invoker: Invoker
    viewer: Viewer
    feed: JobFeed
    body_bytes: int
    has_callbacks: bool
    alive_seconds: float
    is_ending: Callable[[], bool]
    _streams: Counter[int] = field(default_factory=Counter)

    def is_full(self, token: Token) -> bool:
        """Whether there is no room for another one of this token."""
        return self._streams[token.id] >= MOST_STREAMS_OF_ONE or self._streams.total() >= MOST_STREAMS

    def check_room(self, token: Token) -> None:
        """Raises: TooManyStreams."""
        if self.is_full(token):
            raise TooManyStreams(
                f"a token may have {MOST_STREAMS_OF_ONE} event streams, waiting requests and uploads at a time",
                retry_seconds=5,
            )

    @contextmanager
    def streaming(self, token: Token) -> Iterator[None]:
        """One more of them while it is open."""
        self._streams[token.id] += 1
        try:
            yield
        finally:
            self._streams[token.id] -= 1

    @contextmanager
    def receiving(self, token: Token, request: Request) -> Iterator[None]:
        """While the body is read and worked on. Raises: TooManyStreams."""
        length = request.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= LARGE_BYTES:
            yield
            return
        self.check_room(token)
        with self.streaming(token):
            yield

    async def news(self, event: asyncio.Event, seconds: float) -> None:
        """Return when the event is set, after so many seconds, or when the server is about to stop."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        while not event.is_set() and not self.is_ending() and (left := until - clock()) > 0:
            try:
                async with asyncio.timeout(min(left, ENDING_SECONDS)):
                    await event.wait()
            except TimeoutError:
                continue

    async def job(self, token: Token, job_id: int) -> Job:
        """The token's job. Raises: NotFound."""
        async with self.pool.connection() as connection:
            job = await functions.job(connection, token.id, job_id) if 1 <= job_id <= LARGEST_ID else None
        if job is None:
            raise NotFound(f"there is no job {str(job_id)[:20]} of this token, or not any more")
        return job


def sharing(request: Request) -> Sharing:
    """Those of the application that answers this request."""
    return cast(Sharing, request.app.state.sharing)


Shared = Annotated[Sharing, Depends(sharing)]

_bearer = HTTPBearer(
    auto_error=False, scheme_name="token", description="A token of `veilrun tokens create`", bearerFormat="veilrun_…"
)


class _With:
    """Whose token the request shows, if it has this scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(
        self,
        request: Request,
        shared: Shared,
        _: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Token:
        return await admitted(shared.pool, request.headers.get("authorization"), self._scope)


Invoking = Annotated[Token, Depends(_With("invoke"))]
Reading = Annotated[Token, Depends(_With("read"))]
Cancelling = Annotated[Token, Depends(_With("cancel"))]
