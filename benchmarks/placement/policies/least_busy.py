"""Least busy: each job is sent at once to the backend that has the fewest, and waits in that one's own queue."""

from benchmarks.placement.policies import Choice, Choices
from benchmarks.placement.policies.room import Room
from benchmarks.placement.state import View


class LeastBusy:
    lookahead: int | None = None
    watches_loads = False
    learns = False

    def decide(self, view: View) -> Choices:
        room, given = Room(view.backends), []
        for ticket in view.queue:
            backend = min(view.backends, key=lambda one: room.counts[one.name])
            room.take(backend, ticket.job.command.model_set)
            given.append(Choice(ticket.id, backend.name))
        return Choices(tuple(given))
