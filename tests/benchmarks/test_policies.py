"""The peers do what is written about them."""

from benchmarks.placement import simulate
from benchmarks.placement.policies.fifo import Fifo
from benchmarks.placement.policies.invokeai import AFFINITY_ITEMS, InvokeAi
from benchmarks.placement.policies.least_busy import LeastBusy
from benchmarks.placement.policies.swarmui import SwarmUi
from tests.benchmarks.made import FLUX, order, trace


def test_fifo_runs_jobs_in_the_order_of_their_coming() -> None:
    asked = trace((0, "flux"), (1, "sd3"), (2, "flux"), (3, "sd3"), rtt=0.0)

    assert order(simulate(asked, Fifo())) == [1, 2, 3, 4]


def test_least_busy_sends_each_job_at_once_to_the_shortest_queue() -> None:
    asked = trace((0, "wan"), (0, "wan"), (1, "flux"), (2, "flux"), (3, "flux"), gpus=2, rtt=0.0)

    result = simulate(asked, LeastBusy())

    assert [one.backend for one in result.tickets] == ["gpu-00", "gpu-02", "gpu-00", "gpu-02", "gpu-00"]
    assert [one.placed_at for one in result.tickets] == [0, 0, 1, 2, 3]


def test_invokeai_serves_the_user_who_was_served_longest_ago() -> None:
    asked = trace((0, "flux", 1), (0, "flux", 1), (0, "flux", 1), (1, "flux", 2), (2, "flux", 3), rtt=0.0)

    assert order(simulate(asked, InvokeAi())) == [1, 4, 5, 2, 3]


def test_invokeai_prefers_a_warm_item_of_the_same_user_only() -> None:
    asked = trace((0, "flux", 1), (1, "sd3", 1), (1, "flux", 2), (1, "flux", 1), rtt=0.0)

    result = order(simulate(asked, InvokeAi()))

    assert result == [1, 3, 4, 2]


def test_invokeai_looks_no_further_than_32_items() -> None:
    def after(others: int) -> list[int]:
        """The first two jobs of user 1 after a flux job, with that many items of another between them."""
        rest = ((2.0, "flux", 2) for _ in range(others))
        asked = trace((0, "flux", 1), (1, "sd3", 1), *rest, (3, "flux", 1), rtt=0.0)
        own = {1, 2, others + 3}
        return [job_id for job_id in order(simulate(asked, InvokeAi())) if job_id in own]

    assert after(AFFINITY_ITEMS - 1) == [1, AFFINITY_ITEMS + 2, 2]
    assert after(AFFINITY_ITEMS) == [1, 2, AFFINITY_ITEMS + 3]


def test_swarmui_lets_what_is_warm_go_first() -> None:
    asked = trace((0, "flux"), (1, "wan"), (2, "flux"), (3, "flux"), rtt=0.0)

    assert order(simulate(asked, SwarmUi())) == [1, 3, 4, 2]


def test_swarmui_loads_the_model_with_most_pressure() -> None:
    asked = trace((0, "flux"), (1, "wan"), (12, "sd3"), (13, "sd3"), (14, "sd3"), rtt=0.0)

    assert order(simulate(asked, SwarmUi())) == [1, 3, 4, 5, 2]


def test_swarmui_waits_before_a_load_while_there_is_a_choice() -> None:
    alone = simulate(trace((0, "flux"), rtt=0.0), SwarmUi())
    choosing = simulate(trace((0, "flux"), gpus=2, rtt=0.0), SwarmUi())

    assert alone.tickets[0].placed_at == 0
    assert 1.5 < choosing.tickets[0].placed_at < 1.6


def test_swarmui_loads_a_model_on_one_backend_at_a_time() -> None:
    asked = trace((0, "flux"), (0, "flux"), gpus=2, rtt=0.0)

    first, second = simulate(asked, SwarmUi()).tickets

    assert second.placed_at - first.placed_at >= FLUX.load_seconds
