"""What the readings of a run tell of its load and its end."""

import pytest

from runtime.comfyui import Progress
from runtime.worker.stopwatch import Stopwatch


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Run:
    """A run whose readings come when they are told to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.watch = Stopwatch(self.clock)

    def at(self, seconds: float, phase: str, fraction: float = 0.0, *, node: str = "sampler", step: int | None = None):
        self.clock.now = 100.0 + seconds
        self.watch.note(Progress(phase, fraction, node=node, step=step, steps=20))  # type: ignore[arg-type]


def test_a_prompt_that_waits_has_not_begun():
    run = Run()
    run.at(5, "queued")
    assert run.watch.ago_seconds is None
    run.at(9, "loading")
    run.clock.now += 2
    assert run.watch.ago_seconds == 2


def test_the_load_is_what_came_before_the_first_step_was_begun():
    run = Run()
    run.at(0, "queued")
    run.at(10, "loading")
    for step in range(1, 5):
        run.at(40 + 3 * step, "running", step / 5, step=step)
    assert run.watch.load_seconds == pytest.approx(30)


def test_steps_of_another_sampler_do_not_spoil_the_pace_of_the_first():
    run = Run()
    run.at(0, "loading")
    run.at(33, "running", 0.3, node="high", step=1)
    run.at(36, "running", 0.4, node="high", step=2)
    run.at(90, "running", 0.7, node="low", step=1)
    assert run.watch.load_seconds == pytest.approx(30)


@pytest.mark.parametrize("steps", [[], [1], [2, 3], [7, 8, 9]])
def test_who_missed_the_first_step_or_saw_one_alone_cannot_tell_the_load(steps: list[int]):
    run = Run()
    run.at(0, "loading")
    for step in steps:
        run.at(30 + step, "running", step / 20, step=step)
    assert run.watch.load_seconds is None


def test_the_end_is_expected_at_the_pace_of_the_steps():
    run = Run()
    run.at(0, "loading")
    run.at(30, "running", 0.2, step=1)
    assert run.watch.left_seconds is None, "one step has no pace"
    run.at(30.5, "running", 0.3, step=2)
    assert run.watch.left_seconds is None, "too little was seen"
    run.at(34, "running", 0.6, step=5)
    assert run.watch.left_seconds == pytest.approx(4)
    run.clock.now += 1
    assert run.watch.left_seconds == pytest.approx(3)
    run.clock.now += 60
    assert run.watch.left_seconds == 0
