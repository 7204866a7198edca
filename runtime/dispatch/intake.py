"""A checked request becomes a job: limits, plugins, the row. The same for what comes from a chat and over HTTP."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from psycopg import AsyncConnection

from db import jobs
from db.artifacts import Artifact
from db.jobs import NewJob
from runtime import tracing
from runtime.api import Invocation, Medium, Veto
from runtime.dispatch.admission import admit, unique_key
from runtime.dispatch.queue_length import QueueLength
from runtime.dispatch.refusals import PluginBroken, PluginsSlow, Vetoed
from runtime.registry import LoadedCommand, PluginFailed, Registry
from runtime.scheduler.size_class import size_class

log = structlog.get_logger("veilrun.dispatch")

HOOKS_SECONDS = 5.0
"""How long the plugins' `before_invoke` may take, all together: the chat's next message waits for it."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes requests in, within the caller's transaction. command_ids: see `runtime.registry.live.Edition`."""

    connection: AsyncConnection
    registry: Registry
    command_ids: Mapping[str, int]
    queue_length: QueueLength

    async def queue(
        self,
        loaded: LoadedCommand,
        job: NewJob,
        sources: Sequence[Artifact],
        *,
        by_chance: Collection[str] = (),
        is_repeated: bool = False,
    ) -> int | None:
        """Admit `job`, let the plugins see it, store it. Its number; None: its dedupe key is taken.

        What the command and the registry say of it (its version, weights, size, tries, priority) is filled in here.
        by_chance: parameters whose value nobody chose. is_repeated: the plugins have amended these arguments before;
        they may veto, but not amend once more.

        Raises: NotQueued of every kind.
        """
        command = loaded.command
        if command.limits.unique:
            job = replace(job, unique_key=unique_key(job, sources, by_chance))
        await admit(self.connection, self.registry.limits, self.queue_length, command.limits, job)
        amended = await self._amended(job, sources)
        if not is_repeated:
            job = replace(job, arguments=amended.arguments, variant=amended.variant)
        job = replace(
            job,
            command_id=self.command_ids[command.name],
            model_set=command.affinity_of(job.variant).model_set,
            size_class=size_class(command, job.arguments, variant=job.variant, inputs=media(sources)),
            max_attempts=command.limits.max_attempts,
            priority=loaded.priority,
        )
        with tracing.span("queue", {"command": job.command, "variant": job.variant}) as span:
            job = replace(job, traceparent=span.traceparent)
            return await jobs.insert(self.connection, job, [source.id for source in sources])

    async def _amended(self, job: NewJob, sources: Sequence[Artifact]) -> Invocation:
        """The call as the plugins let it pass. Raises: Vetoed, PluginBroken, PluginsSlow."""
        invocation = Invocation(
            command=job.command,
            arguments=job.arguments,
            variant=job.variant,
            inputs=media(sources),
            user_id=job.user_id,
            chat_id=job.chat_id,
        )
        try:
            async with asyncio.timeout(HOOKS_SECONDS):
                # in a thread: a plugin that dawdles must not hold up others
                return await asyncio.to_thread(self.registry.before_invoke, invocation)
        except Veto as veto:
            raise Vetoed(veto.reason.strip()) from veto
        except PluginFailed as failed:
            log.warning("invocation refused", plugin=failed.plugin, hook="before_invoke")
            raise PluginBroken(failed.plugin) from failed
        except TimeoutError as late:
            log.warning("plugins took too long", hook="before_invoke", seconds=HOOKS_SECONDS)
            raise PluginsSlow from late


def media(sources: Sequence[Artifact]) -> tuple[Medium, ...]:
    """The artifacts as plugins see them."""
    return tuple(Medium(s.kind, s.media_type, s.size_bytes, s.width, s.height, s.duration_seconds) for s in sources)
