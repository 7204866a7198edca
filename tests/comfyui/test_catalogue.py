from typing import Any

import pytest

from runtime.comfyui import Catalogue, check_graph
from tests.comfyui import graphs


def _catalogue(spec: Any, group: str = "required") -> Catalogue:
    return Catalogue.parse({"Sink": {"input": {group: {"it": spec}}, "output": [], "output_node": True}})


def _kinds(spec: Any, value: Any) -> list[str]:
    return [problem.kind for problem in check_graph({"a": graphs.node("Sink", it=value)}, _catalogue(spec))]


@pytest.mark.parametrize(
    "spec",
    [
        [["a", "b"]],
        [["a", "b"], {"tooltip": "old"}],
        ["COMBO", {"options": ["a", "b"], "multiselect": False}],
    ],
)
def test_a_choice_is_read_from_the_old_shape_and_the_new(spec: Any) -> None:
    declared = _catalogue(spec).classes["Sink"].inputs["it"]

    assert (declared.type, declared.options) == ("COMBO", ("a", "b"))
    assert (_kinds(spec, "a"), _kinds(spec, "c")) == ([], ["not_an_option"])


@pytest.mark.parametrize(
    "spec",
    [
        ["COMBO", {"remote": {"route": "/x"}}],
        ["COMBO", {}],
        [["a.png"], {"image_upload": True}],
        ["COMBO", {"options": ["a.mp4"], "video_upload": True}],
        ["STRING", {}],
        ["BOOLEAN"],
    ],
)
def test_where_the_server_does_not_tell_the_options_anything_goes(spec: Any) -> None:
    assert _kinds(spec, "whatever") == []


@pytest.mark.parametrize("value", [{"__value__": ["a", "b"]}, {"__value__": []}, "a"])
def test_a_choice_of_several_takes_lists_that_cannot_be_taken_for_links(value: Any) -> None:
    spec = ["COMBO", {"options": ["a", "b", "c"], "multiselect": True}]

    assert _kinds(spec, value) == []
    assert _kinds(spec, ["a", "b"]) == ["bad_link"]
    assert _kinds(spec, {"__value__": ["a", "z"]}) == ["not_an_option"]


def test_options_may_be_numbers() -> None:
    assert _kinds([[8, 16]], 8) == []
    assert _kinds([[8, 16]], 9) == ["not_an_option"]


def test_optional_and_hidden_inputs_are_not_required() -> None:
    assert check_graph({"a": graphs.node("Sink")}, _catalogue(["INT"], "optional")) == ()
    assert check_graph({"a": graphs.node("Sink")}, _catalogue("PROMPT", "hidden")) == ()


def test_the_step_counts_from_the_default() -> None:
    spec = ["INT", {"default": 25, "min": 1, "step": 4}]
    assert (_kinds(spec, 81), _kinds(spec, 80)) == ([], ["off_step"])
    misfit = ["INT", {"default": 512, "min": 1, "max": 4096, "step": 8}]
    assert (_kinds(misfit, 1024), _kinds(misfit, 1025)) == ([], ["off_step"])


def test_entries_of_another_shape_are_left_out() -> None:
    good = {"input": {"required": {"it": ["INT"]}}, "output": []}
    odd = [
        {},
        None,
        "x",
        {"input": "x"},
        {"input": {"required": ["it"]}},
        {"input": {"optional": 3}},
        {"input": {}, "output": 3},
        {"input": {"required": {"it": ["COMFY_DYNAMICCOMBO_V3", {"options": [3]}]}}},
        {"input": {"required": {"it": ["COMFY_MATCHTYPE_V3", {"template": "x"}]}}},
        {"input": {"required": {"it": ["INT", {"max": 10**400}]}}},
    ]

    catalogue = Catalogue.parse({"Good": good, **{f"Odd{number}": entry for number, entry in enumerate(odd)}})

    assert list(catalogue.classes) == ["Good"]


@pytest.mark.parametrize("bound", [float("inf"), float("-inf"), float("nan")])
def test_a_bound_that_is_no_number_is_none(bound: float) -> None:
    assert _kinds(["INT", {"min": bound, "max": bound, "step": bound}], 5) == []
