"""What is played, in this order: first the leaks on purpose, which prove that the instrument sees."""

from runtime.leaks.scenarios import addresses, answers, controls, replies, runs, telegram
from runtime.leaks.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *controls.SCENARIOS,
    *runs.SCENARIOS,
    *replies.SCENARIOS,
    *addresses.SCENARIOS,
    *answers.SCENARIOS,
    *telegram.SCENARIOS,
)

__all__ = ["SCENARIOS", "Scenario"]
