"""One job, from its wake-up to what becomes of it.

Whatever stops this process in between, the job's row still says what the next worker has to do.
"""

import asyncio
import random
import secrets
import traceback
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

import structlog
from structlog.contextvars import bound_contextvars

from db import backends, leases, placement, views
from db.breakers import Failure
from db.leases import Wakeup
from db.pool import AWAY
from runtime import tracing
from runtime.api import Outcome, VeilrunError
from runtime.comfyui import BackendError, PathAway
from runtime.scheduler.breakers import failure_of
from runtime.scheduler.fleet import UnknownBackend
from runtime.tracing import Attribute
from runtime.worker.attempt import Attempt, Collected, CommandGone, Recalled
from runtime.worker.cleaning import clean_up
from runtime.worker.ending import (
    FencedOut,
    write_cancelled,
    write_collected,
    write_failed,
    write_handed_back,
    write_recalled,
    write_requeued,
)
from runtime.worker.graph import prompt_id_of
from runtime.worker.inputs import find_inputs
from runtime.worker.keeper import Held, Stop
from runtime.worker.outcome import Fail, NotOfferedHere, Requeue, has_lost_weights, is_backend_suspect, judge
from runtime.worker.passing import pass_on
from runtime.worker.recall import work_unless_recalled
from runtime.worker.workplace import Workplace

log = structlog.get_logger("veilrun.execute")

T = TypeVar("T")


class Stopped(Exception):
    """The work was cancelled, since its lease asked for that."""


async def execute(workplace: Workplace, job_id: int, fence: int) -> None:
    """Run the placed job to its end. A wake-up that is stale, doubled or late does nothing, and one for a backend that
    only other machines reach is passed on to them.

    Raises: psycopg.OperationalError if the database is away before the job is claimed.
    """
    wakeup = Wakeup(job_id, fence)
    if await pass_on(workplace, wakeup):
        return
    attempt = await _claim(workplace, wakeup)
    if attempt is None:
        return
    job = attempt.job
    about: dict[str, Attribute] = {
        "job": job.id,
        "command": job.command,
        "backend": job.backend,
        "attempt": job.attempt,
    }
    with (
        bound_contextvars(**about),
        tracing.span("attempt", parent=job.traceparent, about=about),
    ):
        async with workplace.keeper.hold(attempt.lease) as held:
            if job.cancel_requested:
                held.end(Stop.CANCEL)
            try:
                await _Execution(workplace, attempt, held).run()
            except FencedOut:
                log.warning("lease lost, nothing written", fence=attempt.lease.fence)
            except AWAY as error:
                log.error("database away, the lease will expire", error=type(error).__name__)


async def _claim(workplace: Workplace, wakeup: Wakeup) -> Attempt | None:
    """Claim the job, with the id of its prompt written before anything is posted."""
    prompt_id = prompt_id_of(workplace.deployment, wakeup.job_id, wakeup.fence)
    async with workplace.pool.connection() as connection, connection.pipeline():
        claimed = await leases.claim(
            connection,
            wakeup,
            owner=workplace.owner,
            seconds=workplace.lease_seconds,
            prompt_id=prompt_id,
            versions=workplace.live.command_ids,
        )
        if claimed is None:
            return None
        job, lease = claimed
        inputs = await find_inputs(connection, job.id)
    log.info("job started", job=job.id, command=job.command, backend=job.backend, attempt=job.attempt)
    return Attempt(workplace, job, lease, inputs, is_resumed=job.prompt_id != prompt_id)


class _Execution:
    """One claimed job under its lease: work, then write what came of it."""

    def __init__(self, workplace: Workplace, attempt: Attempt, held: Held) -> None:
        self._workplace = workplace
        self._attempt = attempt
        self._held = held
        self._job = attempt.job

    async def run(self) -> None:
        """Raises: FencedOut, psycopg.OperationalError."""
        try:
            collected = await until_stopped(work_unless_recalled(self._attempt, self._held, self._stay), self._held)
        except Stopped:
            await self._stop()
        except Recalled:
            await self._recall()
        except VeilrunError as error:
            tracing.mark(error)
            await self._settle(error)
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours or of a plugin ends this job and no other
            await self._fail(_unexpected(error, self._job.id))
        else:
            await self._collect(collected)

    async def _collect(self, collected: Collected) -> None:
        delivery = await write_collected(
            self._workplace.pool,
            self._job,
            self._attempt.lease,
            collected,
            inputs=[given.artifact_id for given in self._attempt.inputs],
        )
        self._tell(delivery)
        self._clean_up(is_over=True)
        log.info("job collected", job=self._job.id, outputs=len(collected.made), run_seconds=collected.run_seconds)
        outputs = tuple(made.medium for made in collected.made)
        self._call_hooks(Outcome("collected", self._job.backend, collected.run_seconds, outputs))

    async def _settle(self, error: VeilrunError) -> None:
        if is_backend_suspect(error) and self._job.backend is not None:
            self._workplace.health.check_soon(self._job.backend)
        if await self._is_for_another_machine(error):
            await self._hand_back()
            return
        if isinstance(error, CommandGone) and await self._is_offered_elsewhere():
            error = NotOfferedHere(f"/{self._job.command} is for another worker")
        if has_lost_weights(error) and self._job.backend is not None:
            async with self._workplace.pool.connection() as connection:
                await backends.forget_weights(connection, self._job.backend)
        verdict = judge(
            error,
            attempt=self._job.attempt,
            max_attempts=self._job.max_attempts,
            last_error=self._job.error,
            spread=random.random(),
        )
        failure = failure_of(self._attempt.registry, error, self._job)
        match verdict:
            case Fail():
                log.info("job failed", job=self._job.id, error=verdict.error, state=verdict.state)
                await self._fail(verdict, failure)
            case Requeue():
                await self._requeue(verdict, failure)

    async def _fail(self, fail: Fail, failure: Failure | None = None) -> None:
        delivery = await write_failed(self._workplace.pool, self._job, self._attempt.lease, fail, failure)
        self._tell(delivery)
        self._clean_up()
        self._call_hooks(Outcome(fail.state, self._job.backend, error=fail.error))

    async def _requeue(self, requeue: Requeue, failure: Failure | None) -> None:
        if requeue.free:
            await self._free_memory()
        state = await write_requeued(self._workplace.pool, self._attempt.lease, requeue, failure)
        self._clean_up()  # the next try has an id of its own
        self._workplace.soon(self._workplace.place())
        if state == "cancelled":
            self._call_hooks(Outcome("cancelled", self._job.backend))
            return
        log.info("job requeued", job=self._job.id, error=requeue.error, delay_seconds=requeue.delay_seconds)
        self._workplace.place_after(requeue.delay_seconds)

    async def _free_memory(self) -> None:
        try:
            with self._attempt.reach() as backend:
                await backend.client.free(unload_models=True, free_memory=True)
                async with self._workplace.pool.connection() as connection:
                    await backends.forget_weights(connection, backend.name)
        except BackendError as error:
            log.warning("memory not freed", job=self._job.id, error=type(error).__name__)

    async def _stop(self) -> None:
        match self._held.stop:
            case Stop.CANCEL:
                await self._cancel()
            case Stop.HAND_BACK:
                await self._hand_back()
            case _:
                raise FencedOut

    async def _recall(self) -> None:
        state = await write_recalled(self._workplace.pool, self._attempt.lease)
        self._workplace.soon(self._workplace.place())
        log.info("job recalled", job=self._job.id, backend=self._job.backend)
        if state == "cancelled":
            self._call_hooks(Outcome("cancelled", self._job.backend))

    async def _stay(self, has_begun: bool) -> None:
        try:
            async with self._workplace.pool.connection() as connection:
                await leases.stay(connection, self._attempt.lease, has_begun=has_begun)
        except AWAY as error:
            log.warning("recall not answered, asked again later", job=self._job.id, error=type(error).__name__)

    async def _hand_back(self) -> None:
        wakeup = await write_handed_back(self._workplace.pool, self._attempt.lease)
        await self._workplace.wake([wakeup])
        log.info("job handed back", job=self._job.id)

    async def _is_for_another_machine(self, error: VeilrunError) -> bool:
        """Whether our way to the backend is down while other machines reach it: one of them finds the prompt there."""
        if not isinstance(error, PathAway) or self._job.backend is None:
            return False
        async with self._workplace.pool.connection() as connection:
            return await views.is_seen_elsewhere(connection, self._job.backend, self._workplace.health.machine)

    async def _is_offered_elsewhere(self) -> bool:
        async with self._workplace.pool.connection() as connection:
            return await placement.is_offered(connection, self._job.command, self._job.variant)

    async def _cancel(self) -> None:
        try:
            await self._attempt.stop_prompt()
        except (BackendError, UnknownBackend) as error:
            log.warning("prompt not stopped", job=self._job.id, error=type(error).__name__)
        await write_cancelled(self._workplace.pool, self._attempt.lease)
        self._workplace.soon(self._workplace.place())
        self._clean_up()
        log.info("job cancelled", job=self._job.id)
        self._call_hooks(Outcome("cancelled", self._job.backend))

    def _tell(self, delivery: int | None) -> None:
        """The chat first: somebody waits there. Sent from here, it is spared the way through the broker; what this
        process does not come to send is woken by the sweepers, for any worker."""
        if delivery is not None:
            self._workplace.soon(self._workplace.deliver(delivery))
        self._workplace.soon(self._workplace.place())

    def _clean_up(self, *, is_over: bool = False) -> None:
        """Once the end is written, and nobody needs the backend's record of it any more."""
        attempt = self._attempt
        if not attempt.is_posted:
            return
        try:
            reach = partial(attempt.backend.of_user, self._job.owner)
        except UnknownBackend:
            return
        self._workplace.soon(clean_up(self._workplace, reach, self._job.id, attempt.prompt_id, is_over=is_over))

    def _call_hooks(self, outcome: Outcome) -> None:
        async def call() -> None:
            await asyncio.to_thread(self._attempt.registry.after_invoke, self._attempt.invocation, outcome)

        self._workplace.soon(call())


async def until_stopped(work: Coroutine[Any, Any, T], held: Held) -> T:
    """The result of `work`, which is cancelled if the lease asks to stop first. Raises: Stopped, or as `work`."""
    task = asyncio.create_task(work)
    stop = asyncio.create_task(held.stopped.wait())
    try:
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if task.cancelled():
        raise Stopped
    return task.result()


def _unexpected(error: Exception, job_id: int) -> Fail:
    """The log gets the places in the code, not the error's text: it may quote a prompt."""
    reference = secrets.token_hex(4)
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("job failed unexpectedly", job=job_id, reference=reference, error=type(error).__name__, frames=frames)
    return Fail("Unexpected", f"Something went wrong on our side. If you report it, give this number: {reference}.")
