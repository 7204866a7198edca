"""One try of one job: everything between its claim and its end that is not about the end."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property, partial

from db import leases, timings
from db.jobs import Job
from db.leases import Lease
from runtime import tracing
from runtime.api import Invocation, Limits, VeilrunError
from runtime.comfyui import ComfyClient, PathAway, Progress, cancel, withdraw
from runtime.registry import LoadedCommand
from runtime.scheduler.fleet import Backend
from runtime.scheduler.size_class import size_class
from runtime.worker.inputs import Input, fetch_inputs, prepare_inputs
from runtime.worker.invocations import invocation_of
from runtime.worker.outcome import PATH_SECONDS
from runtime.worker.outputs import Made, finish
from runtime.worker.progress import ProgressWriter
from runtime.worker.render import medium_of, prepare, render
from runtime.worker.stopwatch import Stopwatch
from runtime.worker.workplace import Workplace

CANCEL_PATIENCE_SECONDS = 2.0

LEAST_QUEUE_SECONDS = 60.0
"""What a job that got its place at the last moment may still wait there, unless its limit is shorter as a whole."""


class CommandGone(VeilrunError):
    """The job's command is not in the registry any more. The text is for the user."""


class Recalled(Exception):
    """The job was asked back into the queue, and its prompt is on no backend: it had not begun."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What the job made. run_seconds: the time on the GPU, None if the backend did not say.

    is_telling: whether that time says something of other jobs of this size_class. ago_seconds: since the run was seen
    to begin, None if nobody saw that or if it is written already. load_seconds: what of run_seconds was the load, as
    far as its steps tell.
    """

    made: Sequence[Made]
    run_seconds: float | None
    is_telling: bool = False
    size_class: str = ""
    ago_seconds: float | None = None
    load_seconds: float | None = None


class Attempt:
    """A claimed job. `prompt_id` is in its row already; `is_resumed` says that another worker may have posted it.

    `is_posted`: whether the backend may have it. `has_begun`: whether it was seen to run, or to have run.
    `is_withdrawing`: whether the backend may have been told to let it go.
    """

    def __init__(
        self, workplace: Workplace, job: Job, lease: Lease, inputs: Sequence[Input], *, is_resumed: bool
    ) -> None:
        self.job = job
        self.lease = lease
        self.prompt_id = job.prompt_id or ""
        self.inputs = inputs
        self.is_resumed = is_resumed
        self.registry = workplace.registry
        self._workplace = workplace
        self.is_posted = self.is_resumed
        self.has_begun = False
        self.is_withdrawing = False
        self._has_arrived = asyncio.Event()

    @property
    def invocation(self) -> Invocation:
        """The job as plugins see it."""
        return invocation_of(self.job)

    @cached_property
    def backend(self) -> Backend:
        """Where the job was placed, as it was then; talk to it through `reach`. Raises: UnknownBackend."""
        return self._workplace.fleet[self.job.backend or ""]

    def reach(self) -> AbstractContextManager[Backend]:
        """The same backend, over the circuits that this job may use. Raises: UnknownBackend."""
        return self.backend.of_user(self.job.owner)

    async def work(self) -> Collected:
        """Run the job. Cancelling the task leaves its prompt on the backend.

        Raises: VeilrunError of every kind, see `runtime.worker.outcome`; Recalled if that was asked for before, and the
        backend does not run it.
        """
        with self.reach() as backend:
            if self.is_resumed:
                await _until_reachable(backend.client)
                if self.job.recall_requested and await withdraw(backend.client, self.prompt_id):
                    raise Recalled
            return await self._work(backend)

    async def _work(self, backend: Backend) -> Collected:
        command = self._loaded().command
        with tracing.span("prepare", {"pictures": len(self.inputs)}):
            contents = await fetch_inputs(self.inputs, self._workplace.files)
            pictures = await prepare_inputs(command, contents)
            prompt = await prepare(self.registry, command, self.invocation, pictures, backend, self.prompt_id)
        self.is_posted = True
        stopwatch = Stopwatch()
        writer = ProgressWriter(self._workplace.pool, self.lease, stopwatch)

        def report(reading: Progress) -> None:
            self.has_begun = self.has_begun or reading.phase != "queued"
            self._has_arrived.set()
            writer.report(reading)

        with tracing.span("render", {"resumed": self.is_resumed}):
            async with writer.writing():
                rendered = await render(
                    backend,
                    prompt,
                    command,
                    resume=self.is_resumed,
                    limits=limits_left(command.limits, waited_seconds=-self.job.due_seconds),
                    on_progress=report,
                    on_run_over=partial(self._free_slot, stopwatch),
                )
        ago_seconds = None if writer.has_told_begin else stopwatch.ago_seconds or rendered.run_seconds
        inputs = [medium_of(picture) for picture in pictures]
        return Collected(
            await finish(rendered.outputs),
            rendered.run_seconds,
            is_telling=rendered.run_seconds is not None and rendered.is_fresh,
            size_class=size_class(command, self.job.arguments, variant=self.job.variant, inputs=inputs),
            ago_seconds=ago_seconds,
            load_seconds=None if self.is_resumed else stopwatch.load_seconds,  # it may have begun before
        )

    async def stop_prompt(self) -> None:
        """Take the prompt off the backend, if it may be there. Raises: BackendError, UnknownBackend."""
        if self.is_posted:
            with self.reach() as backend:
                await cancel(backend.client, self.prompt_id, patience_seconds=CANCEL_PATIENCE_SECONDS)

    async def withdraw(self) -> bool:
        """Take the prompt back while `work` is under way. Whether it is on no backend, never begun: end the work then.

        If nothing was posted yet, it returns at once. Else it waits for a first sign that the prompt has arrived:
        what is taken back on its way comes after all.

        Raises: BackendError, UnknownBackend.
        """
        if not self.is_posted:
            return True
        await self._has_arrived.wait()
        if not self.has_begun:
            self.is_withdrawing = True
            with self.reach() as backend:
                if await withdraw(backend.client, self.prompt_id):
                    return not self.has_begun
            self.has_begun, self.is_withdrawing = True, False
        return False

    def _loaded(self) -> LoadedCommand:
        loaded = self.registry.commands.get(self.job.command)
        known = loaded and {None, *(variant.name for variant in loaded.command.variants)}
        if loaded is None or self.job.variant not in (known or ()):
            raise CommandGone(f"/{self.job.command} is not offered in this form any more.")
        return loaded

    async def _free_slot(self, stopwatch: Stopwatch) -> None:
        """Who gets the slot is to know which weights are loaded."""
        async with self._workplace.pool.connection() as connection, connection.pipeline():
            await timings.began(connection, self.lease, ago_seconds=stopwatch.ago_seconds or 0.0)
            await leases.free_slot(connection, self.lease)
        self._workplace.soon(self._workplace.place())


def limits_left(limits: Limits, *, waited_seconds: float) -> Limits:
    """The limits of a job that waited so long for its place: it goes on waiting in the backend's queue."""
    least = min(limits.queue_seconds, LEAST_QUEUE_SECONDS)
    return replace(limits, queue_seconds=min(max(limits.queue_seconds - waited_seconds, least), limits.queue_seconds))


async def _until_reachable(client: ComfyClient) -> None:
    """Wait while our own way to the backend is down, as it is when the whole machine was started again.

    The prompt may be rendered already, and another try would post it under another id. Raises: PathAway once the
    patience with the way has ended; BackendError.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + client.patience_seconds
    while True:
        try:
            await client.prompt_info()
            return
        except PathAway:
            if clock() >= deadline:
                raise
        await asyncio.sleep(PATH_SECONDS)
