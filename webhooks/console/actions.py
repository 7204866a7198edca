"""What the console's buttons do. Each says in a word what came of it; `SAID` has the sentence for it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from db import backends, breakers, endings, jobs
from webhooks.console.errors import NotThere, Refused
from webhooks.console.pages import Board

log = structlog.get_logger("veilrun.console")

AT_ONCE = 200
"""So many dead letters are replayed by one press."""

MOST_KNOWN = 1000
"""The oldest dead letters, of which a press takes those that can be replayed."""

MOST_REASON = 200

SAID: Mapping[str, str] = {
    "drained": "No new jobs are placed there. What runs there ends well; what waited there is in the queue again.",
    "resumed": "Takes jobs again.",
    "reset": "The command may be placed there again.",
    "not-kept-away": "Nothing was kept away any more.",
    "replayed": "Queued again, with fresh tries.",
    "replayed-some": "Queued again. What is left has lost its command or its pictures, or comes with the next press.",
    "none-replayed": "None could be queued again: their commands are gone, or their pictures have expired.",
    "not-failed": "Only a job that failed can be replayed.",
    "command-gone": "Its command is not offered any more, so it stays as it is.",
    "inputs-gone": "The pictures that it was to work on have expired, so it stays as it is.",
    "cancelled": "Cancelled.",
    "stopping": "Its worker was asked to stop it.",
    "over": "It is over already.",
    "nothing-chosen": "Choose some first.",
    "signed-out": "You are signed out.",
}


@dataclass(frozen=True, slots=True)
class Done:
    """said: a key of SAID; count: of how many. is_placing: whether there may be something to place now."""

    said: str
    count: int | None = None
    is_placing: bool = False


Fields: TypeAlias = Mapping[str, list[str]]
Place: TypeAlias = Callable[[], Awaitable[None]]


class Actions:
    """On the deployment of `board`. place: gives waiting jobs their places."""

    def __init__(self, board: Board, place: Place) -> None:
        self._board = board
        self._place = place

    async def drain(self, name: str, fields: Fields) -> Done:
        """Place nothing new on the backend."""
        reason = " ".join(fields.get("reason", [""])[0].split())[:MOST_REASON] or None
        async with self._board.connection() as connection:
            if await backends.drain(connection, name, reason) is None:
                raise NotThere
        return await self._done(Done("drained", is_placing=True), backend=name)

    async def resume(self, name: str, fields: Fields) -> Done:
        """Place jobs on the backend again."""
        async with self._board.connection() as connection:
            if await backends.resume(connection, name) is None:
                raise NotThere
        return await self._done(Done("resumed", is_placing=True), backend=name)

    async def reset(self, name: str, fields: Fields) -> Done:
        """Close the circuit of one command there, the field `bucket`, or of all."""
        bucket = fields.get("bucket", [""])[0] or None
        async with self._board.connection() as connection:
            if name not in await backends.names(connection):
                raise NotThere
            closed = await breakers.reset(connection, name, bucket)
        return await self._done(Done("reset" if closed else "not-kept-away", is_placing=True), backend=name)

    async def cancel(self, job_id: int, fields: Fields) -> Done:
        """Stop the job."""
        async with self._board.connection() as connection:
            if await jobs.get(connection, job_id) is None:
                raise NotThere
            state = await jobs.cancel(connection, job_id)
        said = "over" if state is None else "cancelled" if state == "cancelled" else "stopping"
        return await self._done(Done(said, is_placing=state == "cancelled"), job=job_id)

    async def replay(self, job_id: int, fields: Fields) -> Done:
        """Queue the job again."""
        async with self._board.connection() as connection:
            verdict = await endings.replay(connection, job_id)
        if verdict == "not there":
            raise NotThere
        if verdict != "queued":
            return Done(verdict.replace(" ", "-"))
        return await self._done(Done("replayed", is_placing=True), job=job_id)

    async def replay_chosen(self, fields: Fields) -> Done:
        """Queue the dead letters of the fields `job` again, or all of a command, or all: the oldest come first."""
        async with self._board.connection() as connection:
            if fields.get("choice") == ["all"]:
                numbers = await endings.dead(connection, fields.get("command", [""])[0] or None, limit=MOST_KNOWN)
            else:
                numbers = _numbers(fields.get("job", []))
            if not numbers:
                return Done("nothing-chosen")
            queued = 0
            for number in sorted(numbers):
                queued += await endings.replay(connection, number) == "queued"
                await connection.commit()
                if queued == AT_ONCE:
                    break
        if not queued:
            return Done("none-replayed")
        said = "replayed" if queued == len(numbers) else "replayed-some"
        return await self._done(Done(said, queued, is_placing=True), count=queued)

    async def _done(self, done: Done, **what: object) -> Done:
        log.info("operator acted", said=done.said, **what)
        self._board.forget()
        if done.is_placing:
            await self._place()
        return done


def _numbers(texts: Sequence[str]) -> list[int]:
    try:
        return [int(text) for text in texts]
    except ValueError as error:
        raise Refused from error
