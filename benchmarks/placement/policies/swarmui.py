"""SwarmUI's pressure: a free backend that holds the model wins at once; otherwise the model with most pressure is
loaded.

Pressure = 10 x waiting requests + seconds since there are any. While there is a choice of backends, a model has to be
asked for for 1.5 s before it is loaded; it goes to the backend that was used longest ago, and a model is loaded on one
backend at a time.
"""

from benchmarks.placement.policies import Choice, Choices
from benchmarks.placement.policies.room import Room
from benchmarks.placement.state import Backend, Ticket, View

REQUEST_WEIGHT = 10.0
PATIENCE_SECONDS = 1.5


class SwarmUi:
    watches_loads = True
    learns = False

    def __init__(self, lookahead: int | None = 0) -> None:
        self.lookahead = lookahead
        self._first_at: dict[str, float] = {}

    def decide(self, view: View) -> Choices:
        room = Room(view.backends)
        if not room.open():
            self._note(view, {ticket.job.command.model_set for ticket in view.queue})
            return Choices()
        waiting: dict[str, list[Ticket]] = {}
        given = []
        for ticket in view.queue:
            model_set = ticket.job.command.model_set
            backend = next((one for one in room.open() if room.warm[one.name] == model_set), None)
            if backend is None:
                waiting.setdefault(model_set, []).append(ticket)
                continue
            room.take(backend, model_set)
            given.append(Choice(ticket.id, backend.name))
        self._note(view, set(waiting))
        loading = {ticket.job.command.model_set for one in view.backends for ticket in _loading(one, view)}
        look_again = None
        while backends := room.open():
            candidates = [model_set for model_set in waiting if model_set not in loading]
            if not candidates:
                break
            model_set = max(candidates, key=lambda one: self._pressure(one, len(waiting[one]), view.now))
            asked_for = view.now - self._first_at[model_set]
            if len(backends) > 1 and asked_for <= PATIENCE_SECONDS:
                look_again = PATIENCE_SECONDS - asked_for + 0.001
                break
            backend = min(backends, key=lambda one: (room.counts[one.name] > 0, one.freed_at))
            ticket = waiting.pop(model_set)[0]
            loading.add(model_set)
            room.take(backend, model_set)
            given.append(Choice(ticket.id, backend.name, expected_cold=True))
        return Choices(tuple(given), look_again_seconds=look_again)

    def _note(self, view: View, model_sets: set[str]) -> None:
        """Since when each model is asked for without a break."""
        self._first_at = {one: self._first_at.get(one, view.now) for one in model_sets}

    def _pressure(self, model_set: str, requests: int, now: float) -> float:
        return REQUEST_WEIGHT * requests + now - self._first_at[model_set]


def _loading(backend: Backend, view: View) -> list[Ticket]:
    """What the backend was given to load, and is not known to have loaded yet."""
    known = view.now - view.round_trip_seconds / 2
    return [one for one in backend.held.values() if one.expected_cold and (one.runs_at is None or one.runs_at > known)]
