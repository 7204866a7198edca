"""What a sandbox server does wrong, and when. A plain plan: set fields, the server reads them as it goes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


class UnknownFault(Exception):
    """A plan names a fault that does not exist, or gives it a value of the wrong type."""


@dataclass
class Faults:
    """The fault plan of one server. Counts go down as they are used; everything else holds until changed.

    Routes are named "METHOD /path" without the /api prefix and with the parameter's name: "GET /history/{prompt_id}";
    "*" means every route. Nodes are named by id or by class.
    """

    latency: dict[str, float] = field(default_factory=dict)
    """Route -> seconds to wait before the request is handled."""
    answers: dict[str, list[int]] = field(default_factory=dict)
    """Route -> statuses for the next requests, one each, as a proxy or a server that is starting up would give."""
    drop_prompt_before: int = 0
    """So many POST /prompt lose their connection before they are read."""
    drop_prompt_after: int = 0
    """So many POST /prompt are queued and then lose their connection instead of being answered."""
    vanish: int = 0
    """So many prompts are accepted with 200 and then forgotten, as if the server had restarted."""
    cut_websocket_after: int | None = None
    """The next websocket to have received so many frames is cut without a close frame; then None again."""
    withhold: set[str] = field(default_factory=set)
    """Event types that are never sent, such as {"executed", "execution_success"}; "executing" includes its null."""
    empty_history: int = 0
    """So many GET /history/{prompt_id} answer {} though the entry is there."""
    history_lag_seconds: float = 0.0
    """How much longer than usual the history entry comes after execution_success."""
    fail: dict[str, str] = field(default_factory=dict)
    """Node -> message of the ValueError that it raises when run."""
    out_of_memory: set[str] = field(default_factory=set)
    """Nodes that run out of GPU memory."""
    unreadable_models: set[str] = field(default_factory=set)
    """Model files that are listed but cannot be loaded, as after a broken download."""
    missing_models: set[str] = field(default_factory=set)
    """Model files that are not listed."""
    missing_classes: set[str] = field(default_factory=set)
    """Node classes that are not installed."""
    stale_answers: int = 0
    """So many prompts are answered from the cache with the name of a lost file, until POST /free drops the cache."""
    cut_view: int = 0
    """So many GET /view lose their connection in the middle of the body."""
    hold: set[str] = field(default_factory=set)
    """Nodes that wait, running, until taken out of this set (or interrupted)."""

    def change(self, plan: Mapping[str, Any]) -> None:
        """Set the named fields from JSON values; {"reset": true} clears all others first.

        Raises: UnknownFault.
        """
        fresh = Faults()
        known = {one.name for one in fields(self)}
        plan = dict(plan)
        if plan.pop("reset", False):
            plan = {**asdict(fresh), **plan}
        for name, value in plan.items():
            if name not in known:
                raise UnknownFault(f"no fault {name!r}; there are: {', '.join(sorted(known))}")
            setattr(self, name, _like(name, getattr(fresh, name), value))

    def plan(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {name: sorted(value) if isinstance(value, set) else value for name, value in asdict(self).items()}

    def spend(self, name: str) -> bool:
        """True once for every unit of the count `name`."""
        left: int = getattr(self, name)
        if left <= 0:
            return False
        setattr(self, name, left - 1)
        return True

    def next_answer(self, route: str) -> int | None:
        """The status with which this request is turned away, None to serve it."""
        for key in (route, "*"):
            if self.answers.get(key):
                return self.answers[key].pop(0)
        return None

    def seconds_before(self, route: str) -> float:
        return self.latency.get(route, self.latency.get("*", 0.0))


def _like(name: str, default: object, value: object) -> object:
    if isinstance(default, set) and isinstance(value, (list, set)):
        return {str(one) for one in value}
    if isinstance(default, dict) and isinstance(value, Mapping):
        return dict(value)
    if name == "cut_websocket_after" and (value is None or isinstance(value, int)):
        return value
    if isinstance(default, (int, float)) and isinstance(value, (int, float)):
        return value
    raise UnknownFault(f"{name}: {value!r} is of another type than {default!r}")
