"""Telling the sandbox to misbehave, by a plan that is the same for the same seed."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["error", "slow", "hang", "cut", "bad_gateway", "duplicate", "reorder"]
_ON_DELIVERY = frozenset({"duplicate", "reorder"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave, and when.

    kind: "error" answers `code` and `description`; "slow" answers after `seconds`; "hang" never answers;
        "cut" breaks the connection in mid-body; "bad_gateway" is a 502 with an HTML body.
        On delivery: "duplicate" sends an acknowledged update once more; "reorder" holds an update back
        until one of another chat has gone out.
    method: Bot API method it applies to, any case; "*" is all. chat_id: only this chat; None is all.
    times: how often it strikes, None without end. after: calls that fit and pass unharmed first.
    probability: chance to strike each time it may, drawn from the plan's seed.
    executed: the call takes effect all the same and only the answer is lost (hang, cut, bad_gateway, error).
    """

    kind: Kind
    method: str = "*"
    chat_id: int | None = None
    times: int | None = 1
    after: int = 0
    probability: float = 1.0
    seconds: float = 0.0
    code: int = 400
    description: str = ""
    retry_after: int | None = None
    executed: bool = False

    @classmethod
    def too_many_requests(cls, retry_after: int = 1, **when: Any) -> Fault:
        """429 with retry_after in body and header."""
        description = f"Too Many Requests: retry after {retry_after}"
        return cls("error", code=429, description=description, retry_after=retry_after, **when)

    @classmethod
    def blocked(cls, **when: Any) -> Fault:
        """403: the user has blocked the bot."""
        return cls("error", code=403, description="Forbidden: bot was blocked by the user", **when)


@dataclass(slots=True)
class _Armed:
    fault: Fault
    left: int | None
    skip: int


class FaultPlan:
    """Faults waiting for their moment; the first that fits strikes."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._armed: list[_Armed] = []
        self.struck: list[Fault] = []

    def add(self, *faults: Fault) -> None:
        self._armed.extend(_Armed(fault, fault.times, fault.after) for fault in faults)

    def clear(self) -> None:
        self._armed.clear()

    def to_json(self) -> list[dict[str, Any]]:
        return [{**asdict(armed.fault), "left": armed.left} for armed in self._armed]

    def strike(self, method: str, chat_id: int | None) -> Fault | None:
        """The fault for this call, counted off, or None."""
        wanted = method.lower()
        for armed in self._armed:
            fault = armed.fault
            if (
                fault.kind not in _ON_DELIVERY
                and fault.method.lower() in ("*", wanted)
                and self._counts(armed, chat_id)
            ):
                return fault
        return None

    def strike_delivery(self, kind: Literal["duplicate", "reorder"], chat_id: int | None) -> Fault | None:
        """The fault of this kind for an update of this chat, counted off, or None."""
        for armed in self._armed:
            if armed.fault.kind == kind and self._counts(armed, chat_id):
                return armed.fault
        return None

    def _counts(self, armed: _Armed, chat_id: int | None) -> bool:
        fault = armed.fault
        if armed.left == 0 or (fault.chat_id is not None and fault.chat_id != chat_id):
            return False
        if armed.skip > 0:
            armed.skip -= 1
            return False
        if fault.probability < 1.0 and self._random.random() >= fault.probability:
            return False
        if armed.left is not None:
            armed.left -= 1
        self.struck.append(fault)
        return True
