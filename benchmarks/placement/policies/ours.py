"""veilrun's own: `runtime.scheduler.place.place` with the values that the scheduler would give it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from benchmarks.placement.policies import Choice, Choices
from benchmarks.placement.state import Backend, Ticket, View
from benchmarks.placement.workload import VRAM_GB
from runtime.scheduler.place import place
from runtime.scheduler.schedule import WINDOW
from runtime.scheduler.view import Decision, Held, QueuedJob, Slot

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Ours:
    """decider: `place`, or a variant of it."""

    watches_loads = False

    def __init__(self, lookahead: int = 1, decider: Callable[..., Decision] = place, *, learns: bool = False) -> None:
        self.learns = learns
        self.lookahead: int | None = lookahead
        self._places = lookahead + 1
        self._decider = decider
        self._queued: dict[int, QueuedJob] = {}

    def decide(self, view: View) -> Choices:
        if not len(view.queue):
            return Choices()
        free = sum(self._places - len(backend.held) for backend in view.backends)
        queued = [self._known(ticket) for ticket in view.queue.window(WINDOW + min(free, WINDOW))]
        slots = [slot for backend in view.backends for slot in self._slots(backend, view)]
        decision = self._decider(queued, slots, now=_moment(view.now), timings=view.timings)
        has_filled_window = len(decision.placements) >= WINDOW
        return Choices(
            tuple(Choice(one.job_id, one.backend, one.position, one.is_cold) for one in decision.placements),
            tuple(decision.recalls),
            0.0 if has_filled_window else decision.look_again_seconds,
        )

    def _known(self, ticket: Ticket) -> QueuedJob:
        known = self._queued.get(ticket.id)
        if known is None or known.recalls != ticket.recalls:
            command = ticket.job.command
            known = self._queued[ticket.id] = QueuedJob(
                id=ticket.id,
                command=command.name,
                variant=command.variant,
                queued_at=_moment(ticket.job.at),
                rank_at=_moment(ticket.rank_at),
                user_id=ticket.job.user_id,
                model_set=command.model_set,
                vram_gb=command.vram_gb,
                recalls=ticket.recalls,
            )
        return known

    def _slots(self, backend: Backend, view: View) -> list[Slot]:
        at = {ticket.position: ticket for ticket in backend.held.values()}
        known_until = view.now - view.round_trip_seconds / 2
        since = backend.loaded_known_since
        return [
            Slot(
                backend=backend.name,
                position=position,
                vram_gb=VRAM_GB[backend.device],
                device=backend.device,
                held=_held(at[position], known_until) if position in at else None,
                warm_model_set=backend.loaded_known,
                warm_since=None if since is None else _moment(since),
                round_trip_seconds=view.round_trip_seconds,
            )
            for position in range(self._places)
        ]


def _held(ticket: Ticket, known_until: float) -> Held:
    command = ticket.job.command
    has_begun = ticket.loads_at is not None and ticket.loads_at <= known_until
    return Held(
        job_id=ticket.id,
        key=command.key,
        command=command.name,
        placed_at=_moment(ticket.placed_at),
        rank_at=_moment(ticket.rank_at),
        user_id=ticket.job.user_id,
        model_set=command.model_set,
        began_at=_moment(ticket.loads_at) if has_begun and ticket.loads_at is not None else None,
        is_cold=ticket.expected_cold,
        recalls=ticket.recalls,
        is_leaving=ticket.is_leaving,
    )


def _moment(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)
