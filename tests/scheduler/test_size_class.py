"""How much work a job is, relative to its command's defaults."""

from typing import Any

import pytest

from plugins import flux, qwen, sd3, wan
from runtime.api import Command, GpuAffinity, ImageInput, Integer, Medium, Prompt, Workflow
from runtime.scheduler.size_class import size_class

UPSCALE = Workflow(
    {
        "image": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
        "larger": {"class_type": "ImageScaleBy", "inputs": {"image": ["image", 0], "scale_by": 2.0}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["larger", 0]}},
    },
    bind={"image": "image.image"},
    output="save",
)
upscale = Command("upscale", "larger", (ImageInput(),), UPSCALE, GpuAffinity(vram_gb=1))


def photo(width: int | None, height: int | None) -> Medium:
    return Medium("image", "image/png", None, width, height)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "1x"),
        ({"size": [1024, 1024], "steps": 4, "n": 1, "seed": 2**60}, "1x"),
        ({"size": [1024, 1024], "steps": 8, "n": 1}, "2x"),
        ({"size": [1024, 1024], "steps": 6, "n": 1}, "1.4x"),
        ({"size": [512, 512], "steps": 4, "n": 1}, "0.25x"),
        ({"size": [1216, 832], "steps": 4, "n": 1}, "1x"),
        ({"size": [2048, 2048], "steps": 50, "n": 4}, "64x"),
    ],
)
def test_pixels_steps_and_pictures_at_once_multiply(arguments: dict[str, Any], expected: str) -> None:
    given = {"size": [1024, 1024], "steps": 4, "n": 1} | arguments
    assert size_class(flux.flux, given) == expected


def test_a_variant_is_measured_by_its_own_defaults() -> None:
    given = {"size": [1024, 1024], "steps": 20, "n": 1}
    assert size_class(flux.flux, given, variant="dev") == "1x"
    assert size_class(flux.flux, given) == "5.7x"


@pytest.mark.parametrize(("seconds", "expected"), [(5.0, "1x"), (2.5, "0.5x"), (3.5, "0.71x"), (0.5, "0.12x")])
def test_a_film_counts_by_its_frames(seconds: float, expected: str) -> None:
    assert size_class(wan.wan, {"size": [640, 640], "seconds": seconds}) == expected


def test_every_further_picture_counts_where_the_graph_names_the_size() -> None:
    one, three = [photo(4000, 3000)], [photo(None, None)] * 3
    assert size_class(qwen.qwen, {"steps": 4}, inputs=one) == "1x"
    assert size_class(qwen.qwen, {"steps": 4}, inputs=three) == "2x"


def test_the_pictures_own_size_counts_where_the_result_follows_it() -> None:
    assert size_class(upscale, {}, inputs=[photo(1024, 1024)]) == "1x"
    assert size_class(upscale, {}, inputs=[photo(4096, 2048)]) == "8x"
    assert size_class(upscale, {}, inputs=[photo(None, None)]) == ""


def test_what_does_not_change_the_work_makes_no_other_size() -> None:
    given = {"size": [1024, 1024], "steps": 20, "n": 1, "cfg": 9.0, "seed": 5, "prompt": "x" * 500}
    assert size_class(sd3.sd3, given) == "1x"


def test_an_argument_of_another_type_than_declared_is_a_size_that_nobody_knows() -> None:
    assert size_class(flux.flux, {"size": "huge", "steps": 4, "n": 1}) == ""
    assert size_class(wan.wan, {"size": [640, 640], "seconds": "long"}) == ""


def test_a_parameter_that_a_hook_puts_into_the_graph_counts_by_its_name() -> None:
    workflow = Workflow(UPSCALE.graph, bind={}, output="save")
    command = Command("film", "moves", (Prompt(), Integer("frames", default=16)), workflow, GpuAffinity(vram_gb=1))
    assert size_class(command, {"frames": 32}) == "2x"
