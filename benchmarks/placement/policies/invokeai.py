"""InvokeAI's queue: whose turn it is, then what is warm.

A GPU that is free takes the oldest item of the user who was served longest ago. If that is cold there, it may be
swapped for an item of the same user and priority that is warm there and was queued at most 32 items later.
"""

from benchmarks.placement.policies import Choice, Choices
from benchmarks.placement.policies.room import Room
from benchmarks.placement.state import Ticket, View

AFFINITY_ITEMS = 32


class InvokeAi:
    watches_loads = False
    learns = False

    def __init__(self, lookahead: int | None = 0) -> None:
        self.lookahead = lookahead
        self._served: dict[int, int] = {}
        self._turn = 0

    def decide(self, view: View) -> Choices:
        room, given = Room(view.backends), []
        if not room.open():
            return Choices()
        waiting: dict[int, list[Ticket]] = {}
        for ticket in view.queue:
            waiting.setdefault(ticket.job.user_id, []).append(ticket)
        while waiting:
            backend = next(iter(room.open()), None)
            if backend is None:
                break
            user = min(waiting, key=lambda one: (self._served.get(one, 0), waiting[one][0].id))
            chosen = self._affine(waiting[user], room.warm[backend.name])
            waiting[user].remove(chosen)
            if not waiting[user]:
                del waiting[user]
            self._turn += 1
            self._served[user] = self._turn
            room.take(backend, chosen.job.command.model_set)
            given.append(Choice(chosen.id, backend.name))
        return Choices(tuple(given))

    @staticmethod
    def _affine(own: list[Ticket], warm: str | None) -> Ticket:
        """The user's first item, or the first warm one close behind it."""
        near = (ticket for ticket in own if ticket.id <= own[0].id + AFFINITY_ITEMS)
        return next((ticket for ticket in near if ticket.job.command.model_set == warm), own[0])
