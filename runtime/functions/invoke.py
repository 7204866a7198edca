"""A request over HTTP becomes a job, by the same intake as a command in a chat, in one transaction with all that goes
with it: pictures, idempotency key, result webhook, the token's count.
"""

import asyncio
import contextlib
import math
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from psycopg import AsyncConnection

from db import admission, callbacks, functions, tokens
from db.functions import Kept
from db.jobs import NewJob, owner_of_token
from db.pool import Pool
from db.tokens import Token
from runtime.dispatch.intake import Intake
from runtime.dispatch.queue_length import QueueLength
from runtime.dispatch.refusals import (
    InWorkAlready,
    NotQueued,
    PluginBroken,
    PluginsSlow,
    QueueFull,
    TooManyOfCommand,
    TooManyWaiting,
    Vetoed,
)
from runtime.functions.addresses import Policy, check_url
from runtime.functions.errors import (
    Busy,
    Duplicate,
    Internal,
    KeyReused,
    KeySpent,
    NotAllowed,
    PluginTrouble,
    Refused,
    TooManyJobs,
    UnknownCommand,
)
from runtime.functions.pictures import looked_at, resolve
from runtime.functions.tokens import check_may_invoke
from runtime.functions.wanted import Wanted
from runtime.registry import LiveRegistry, LoadedCommand, Registry

SOON_SECONDS = 10.0
"""When to try again where nobody knows when it would help."""


@dataclass(frozen=True, slots=True)
class Invoked:
    """The job that a request became. is_new: False = an earlier request with the same key had become it."""

    job_id: int
    is_new: bool


def resolved(registry: Registry, token: Token, word: str) -> LoadedCommand:
    """The command of this name or alias, if the token may invoke it. Raises: UnknownCommand, CommandNotAllowed."""
    loaded = registry.resolve(word)
    if loaded is None:
        raise UnknownCommand("there is no such command; GET /v1/functions lists those there are")
    check_may_invoke(token, loaded.command.name)
    return loaded


class Invoker:
    """Turns requests into jobs in one web process. place: called after a commit that added a job."""

    def __init__(self, pool: Pool, live: LiveRegistry, place: Callable[[], Awaitable[None]], policy: Policy) -> None:
        self._pool = pool
        self._live = live
        self._place = place
        self._policy = policy
        self._queue_length = QueueLength(live.current.limits.queued)
        self._placing: set[asyncio.Task[None]] = set()

    async def invoke(self, token: Token, wanted: Wanted, key: str | None) -> Invoked:
        """Queue the job that `token` asks for. key: its Idempotency-Key, if it sent one.

        Raises: Refused of many kinds, and then nothing is left of the request; psycopg.OperationalError.
        """
        if wanted.callback_url is not None:
            check_url(wanted.callback_url, self._policy)
        found = [None if i.content is None else await looked_at(i.content, token.id) for i in wanted.images]
        edition = self._live.edition
        loaded = resolved(edition.registry, token, wanted.command)
        self._queue_length.bound = edition.registry.limits.queued
        async with self._pool.connection() as connection:
            await admission.lock_owner(connection, owner_of_token(token.id))
            if key is not None and (before := await functions.kept(connection, token.id, key)) is not None:
                return _repeated(before, wanted)
            await _check_limits(connection, token, wanted.command)
            sources = await resolve(connection, token.id, wanted.images, found)
            job = NewJob(
                command_id=0,
                command=wanted.command,
                arguments=wanted.arguments.values,
                variant=wanted.arguments.variant,
                token_id=token.id,
                delay_seconds=wanted.arguments.delay_seconds,
            )
            intake = Intake(connection, edition.registry, edition.command_ids, self._queue_length)
            with _refusals():
                job_id = await intake.queue(loaded, job, sources, by_chance=wanted.arguments.by_chance)
            if job_id is None:
                raise Internal("the job was not stored")
            if wanted.callback_url is not None:
                await callbacks.owe(connection, job_id, token.id, wanted.callback_url, f"msg_{uuid.uuid4().hex}")
            if key is not None:
                await functions.keep(connection, token.id, key, Kept(wanted.digest, job_id))
            await tokens.count_job(connection, token.id)
        self.place()
        return Invoked(job_id, is_new=True)

    def place(self) -> None:
        """Have jobs placed, without waiting for it. The sweepers do it, should this process end."""
        task = asyncio.ensure_future(self._place())
        self._placing.add(task)
        task.add_done_callback(self._placing.discard)

    async def settled(self) -> None:
        """Wait until nothing is being placed."""
        while self._placing:
            await asyncio.wait(self._placing)


def _repeated(before: Kept, wanted: Wanted) -> Invoked:
    if before.request != wanted.digest:
        raise KeyReused("this key was sent with another request before; a new request needs a new key")
    if before.job_id is None:
        raise KeySpent("the job of this key is not kept any more; send a new key to have it made again")
    return Invoked(before.job_id, is_new=False)


async def _check_limits(connection: AsyncConnection, token: Token, command: str) -> None:
    """Raises: TooManyJobs."""
    if token.open_jobs is not None:
        standing = await admission.standing(connection, owner_of_token(token.id), command)
        if standing.open >= token.open_jobs:
            raise TooManyJobs(
                f"this token may have {token.open_jobs} open jobs at a time", retry_seconds=await _soon(connection)
            )
    if token.per_day is not None:
        count, left_seconds = await tokens.jobs_of_day(connection, token.id)
        if count >= token.per_day:
            raise TooManyJobs(f"this token may ask for {token.per_day} jobs a day (UTC)", retry_seconds=left_seconds)


async def _soon(connection: AsyncConnection) -> float:
    return max(await admission.seconds_to_next_start(connection) or SOON_SECONDS, 1.0)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """What the intake refuses is told as callers over HTTP know it."""
    try:
        yield
    except NotQueued as refused:
        raise refusal_for(refused) from refused


def refusal_for(refused: NotQueued) -> Refused:
    """The same, as callers over HTTP are told."""
    match refused:
        case TooManyOfCommand() | TooManyWaiting():
            return TooManyJobs(str(refused), retry_seconds=SOON_SECONDS)
        case QueueFull(seconds=seconds):
            return Busy(str(refused), retry_seconds=math.ceil(seconds) or SOON_SECONDS)
        case InWorkAlready(twin=twin):
            return Duplicate(str(refused), twin.id)
        case Vetoed():
            return NotAllowed(str(refused))
        case PluginsSlow():
            return PluginTrouble(str(refused), retry_seconds=SOON_SECONDS)
        case PluginBroken():
            return PluginTrouble(str(refused))
    return Internal(str(refused))
