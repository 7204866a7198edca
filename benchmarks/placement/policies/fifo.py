"""First in, first out: one queue, and the first backend that has a place."""

from benchmarks.placement.policies import Choice, Choices
from benchmarks.placement.policies.room import Room
from benchmarks.placement.state import View


class Fifo:
    watches_loads = False
    learns = False

    def __init__(self, lookahead: int | None = 0) -> None:
        self.lookahead = lookahead

    def decide(self, view: View) -> Choices:
        room, given = Room(view.backends), []
        for ticket in view.queue:
            backend = next(iter(room.open()), None)
            if backend is None:
                break
            room.take(backend, ticket.job.command.model_set)
            given.append(Choice(ticket.id, backend.name))
        return Choices(tuple(given))
