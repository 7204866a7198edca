"""How far a job is, as one line of text that looks right in a proportional font."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.chat.captions import shortened
from runtime.chat.texts import text

CELLS = 10
_NODE_UNITS = 40
_FULL, _EMPTY = "▰", "▱"  # both are equally wide in Telegram's fonts, unlike █ and ░


def bar(fraction: float, cells: int = CELLS) -> str:
    """`▰▰▰▱▱▱▱▱▱▱`: full cells for what is done. Anything but a number from 0 to 1 is brought into that range."""
    full = math.floor(_bounded(fraction) * cells)
    return _FULL * full + _EMPTY * (cells - full)


def percent(fraction: float) -> int:
    """Whole percent, rounded down, so that 100 means done."""
    return math.floor(_bounded(fraction) * 100)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. fraction: 0 to 1 of the whole run; node: title of the node that runs; step of steps in it."""

    fraction: float = 0.0
    node: str | None = None
    step: int | None = None
    steps: int | None = None
    is_loading: bool = False

    @classmethod
    def read(cls, state: Mapping[str, Any]) -> "Progress":
        """From `jobs.progress`, which holds the fields of `runtime.comfyui.progress.Progress`; any of them may miss."""
        step, steps = _number(state.get("step")), _number(state.get("steps"))
        node = state.get("title") or state.get("node")
        return cls(
            fraction=_bounded(_number(state.get("fraction")) or 0.0),
            node=node.strip() or None if isinstance(node, str) else None,
            step=int(step) if step is not None else None,
            steps=int(steps) if steps is not None else None,
            is_loading=state.get("phase") == "loading",
        )

    def line(self, language: str | None) -> str:
        """`🎨 ▰▰▰▰▰▱▱▱▱▱ 52 % · sampler · step 11/20`, as far as known."""
        if self.fraction == 0 and self.node is None:
            return text("status.loading" if self.is_loading else "status.preparing", language)
        shown = {"bar": bar(self.fraction), "percent": percent(self.fraction)}
        if self.node is None:
            return text("status.running", language, **shown)
        node = shortened(" ".join(self.node.split()), _NODE_UNITS)
        if self.step is None or not self.steps or self.steps < 2:
            return text("status.running_node", language, **shown, node=node)
        return text("status.running_step", language, **shown, node=node, step=self.step, steps=self.steps)


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None  # type: ignore[arg-type]


def _bounded(fraction: float) -> float:
    return min(max(fraction, 0.0), 1.0) if not math.isnan(fraction) else 0.0
