from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.comfyui import ComfyClient, Progress, Prompt, run_prompt
from runtime.comfyui.events import Event, parse_event
from runtime.comfyui.progress import ProgressMeter, weigh
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.comfyui import graphs
from tests.comfyui.conftest import QUICK

P = "mine"


async def _readings(client: ComfyClient, graph: graphs.Graph) -> list[Progress]:
    readings: list[Progress] = []
    await run_prompt(client, Prompt(P, graph), on_progress=readings.append, pace=QUICK)
    return readings


async def test_a_picture_goes_from_loading_over_its_steps_to_done(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    readings = await _readings(client, graphs.sampled(steps=4))

    phases = list(dict.fromkeys(reading.phase for reading in readings))
    assert phases in (["queued", "loading", "running", "done"], ["loading", "running", "done"])
    assert readings[-1] == Progress("done", 1.0, 0)


def test_two_samplers_make_one_progress() -> None:
    """Each tells 1 and 2 of 2; the whole never falls back."""
    meter = ProgressMeter(graphs.film())
    seen: list[tuple[str | None, int | None, int | None, float]] = []
    for node in ("vae", "latent", "clip", "negative", "positive", "high"):
        meter.apply(Event("executing", P, node))
    for sampler in ("first", "second"):
        meter.apply(Event("executing", P, sampler))
        for step in (1, 2):
            meter.apply(Event("progress", P, sampler, step, 2))
            reading = meter.reading
            seen.append((reading.node, reading.step, reading.steps, reading.fraction))
        meter.apply(Event("executing", P, "low"))

    assert [entry[:3] for entry in seen] == [("first", 1, 2), ("first", 2, 2), ("second", 1, 2), ("second", 2, 2)]
    fractions = [entry[3] for entry in seen]
    assert fractions == sorted(set(fractions))
    assert 0.3 < fractions[1] < 0.7
    assert fractions[3] > 0.85


def test_samplers_weigh_by_the_steps_they_do() -> None:
    weights = weigh(graphs.film())
    assert weights["first"] == weights["second"]

    graph = graphs.film()
    graph["first"]["inputs"]["end_at_step"] = graph["second"]["inputs"]["start_at_step"] = 1
    weights = weigh(graph)
    assert weights["second"] == 3 * weights["first"]
    assert weights["first"] + weights["second"] > 0.5 * sum(weights.values())


def test_the_node_is_told_by_its_title_for_people() -> None:
    graph = graphs.sampled()
    graph["sampler"]["_meta"] = {"title": "Painting"}
    meter = ProgressMeter(graph)

    meter.apply(Event("executing", P, "sampler"))
    assert meter.reading.title == "Painting"
    meter.apply(Event("executing", P, "decode"))
    assert (meter.reading.title, meter.reading.step) == ("VAEDecode", None)


def test_cached_nodes_count_as_done() -> None:
    meter = ProgressMeter(graphs.sampled())

    meter.apply(Event("execution_cached", P, nodes=frozenset({"model", "positive", "negative", "latent", "sampler"})))

    assert meter.reading.fraction > 0.8


def test_the_position_counts_down_and_0_means_running() -> None:
    meter = ProgressMeter(graphs.still())
    meter.waits(3)
    meter.waits(1)
    assert (meter.reading.phase, meter.reading.position) == ("queued", 1)

    meter.waits(0)
    assert (meter.reading.phase, meter.reading.position) == ("loading", 0)
    meter.waits(2)
    assert meter.reading.position == 0


async def test_the_position_in_the_queue_is_reported(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.hold = {"save"}
    for number in range(2):
        await client.post_prompt(f"other{number}", graphs.still(colour=number + 1), "somebody")
    await comfyui.wait_for(lambda server: server.running == "other0")
    readings: list[Progress] = []

    async def note(reading: Progress) -> None:
        readings.append(reading)
        if reading.position == 2:
            comfyui.faults.hold = set()

    await run_prompt(client, Prompt(P, graphs.still()), on_progress=note, pace=QUICK)

    assert 2 in [reading.position for reading in readings]
    assert readings[-1].phase == "done"


async def test_a_reading_is_reported_once(client: ComfyClient) -> None:
    readings = await _readings(client, graphs.film())

    assert all(one != following for one, following in pairwise(readings))


@given(
    st.lists(
        st.builds(
            Event,
            st.sampled_from(
                ["execution_start", "execution_cached", "executing", "progress", "executed", "status", "?"]
            ),
            st.just(P),
            st.sampled_from([None, "stranger", *graphs.film()]),
            st.floats(-1, 30, allow_nan=False),
            st.floats(-1, 30, allow_nan=False),
            st.frozensets(st.sampled_from([*graphs.film(), "stranger"])),
        )
    )
)
def test_whatever_comes_in_whatever_order_progress_never_falls_and_stays_below_1(events: list[Event]) -> None:
    meter = ProgressMeter(graphs.film())
    before = meter.reading.fraction
    for event in events:
        meter.apply(event)
        assert before <= meter.reading.fraction < 1
        before = meter.reading.fraction


def test_frames_are_read_as_the_server_sends_them() -> None:
    progress = '{"type": "progress", "data": {"value": 1, "max": 2, "prompt_id": "p", "node": "81"}}'
    assert parse_event(progress) == Event("progress", "p", "81", 1, 2)
    cached = '{"type": "execution_cached", "data": {"nodes": ["8", "9"], "prompt_id": "p", "timestamp": 1}}'
    assert parse_event(cached) == Event("execution_cached", "p", nodes=frozenset({"8", "9"}))
    assert parse_event('{"type": "progress_state", "data": {"prompt_id": "p", "nodes": {}}}') is None


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1" + "0" * 400, '"7"', "null", "[]"])
def test_a_step_that_is_no_number_is_none(value: str) -> None:
    frame = f'{{"type": "progress", "data": {{"value": {value}, "max": {value}, "prompt_id": "p", "node": "81"}}}}'

    assert parse_event(frame) == Event("progress", "p", "81", 0, 0)


def test_a_frame_that_nobody_can_read_is_left_out() -> None:
    assert parse_event("[" * 100_000) is None
    assert parse_event("no json") is None


def test_only_what_comes_with_a_history_entry_counts_as_an_end() -> None:
    ends = {
        '{"type": "executing", "data": {"node": null, "prompt_id": "p"}}': True,
        '{"type": "executing", "data": {"node": "3", "prompt_id": "p"}}': False,
        '{"type": "execution_success", "data": {"prompt_id": "p", "timestamp": 1}}': False,
        '{"type": "execution_error", "data": {"prompt_id": "p", "node_id": "3"}}': True,
        '{"type": "execution_interrupted", "data": {"prompt_id": "p", "node_id": "3"}}': True,
    }
    for frame, is_end in ends.items():
        event = parse_event(frame)
        assert event is not None
        assert event.is_end is is_end
