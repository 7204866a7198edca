"""What a request may hold, as values: types count in JSON, words are read as in a chat in a form."""

import re

import pytest

from plugins.flux import flux
from plugins.qwen import qwen
from plugins.sd3 import sd3
from plugins.wan import wan
from runtime.api import Choice, Command, Parameter, VeilrunError
from runtime.dispatch.arguments import cleaned
from runtime.functions.errors import Invalid, TooLarge
from runtime.functions.schema import SEEN, checked, request_schema
from runtime.functions.wanted import IMAGE_BYTES, Image, from_form, from_json

PLAIN = {"arguments": {"prompt": "an astronaut"}}


@pytest.mark.parametrize(
    ("body", "at", "words"),
    [
        ({}, "arguments.prompt", "is required"),
        ([], "body", "must be an object"),
        ({"arguments": 3}, "arguments", "must be an object"),
        ({"arguments": {"prompt": 3}}, "arguments.prompt", "must be text"),
        ({"arguments": {"prompt": "\u200b"}}, "arguments.prompt", "is empty"),
        ({"arguments": {"prompt": "a" * 4001}}, "arguments.prompt", "4000 are allowed"),
        ({"arguments": {"prompt": "a", "steps": "4"}}, "arguments.steps", "must be a whole number"),
        ({"arguments": {"prompt": "a", "steps": 4.5}}, "arguments.steps", "must be a whole number"),
        ({"arguments": {"prompt": "a", "steps": True}}, "arguments.steps", "must be a whole number"),
        ({"arguments": {"prompt": "a", "steps": 99}}, "arguments.steps", "from 1 to 50, not 99"),
        ({"arguments": {"prompt": "a", "seed": -1}}, "arguments.seed", "from 0 to 2^64-1"),
        ({"arguments": {"prompt": "a", "size": [513, 512]}}, "arguments.size", "the nearest is 512x512"),
        ({"arguments": {"prompt": "a", "size": "512x512"}}, "arguments.size", "[width, height]"),
        ({"arguments": {"prompt": "a", "stpes": 4}}, "arguments.stpes", "no such parameter"),
        (PLAIN | {"variant": "div"}, "variant", "must be one of dev"),
        (PLAIN | {"images": [{"artifact_id": 1}]}, "images", "flux takes no pictures"),
        (PLAIN | {"delay_seconds": -1}, "delay_seconds", "from 0 to 604800"),
        (PLAIN | {"callback_url": 3}, "callback_url", "must be text"),
        (PLAIN | {"wait": 3}, "wait", "is not known"),
    ],
)
def test_each_thing_that_is_wrong_is_named(body, at, words) -> None:
    with pytest.raises(Invalid) as refused:
        from_json(flux, body)

    assert [fault.at for fault in refused.value.faults] == [at]
    assert words in refused.value.faults[0].detail


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([], "qwen takes 1 to 3 pictures"),
        ({}, "must be a list"),
        ([{"artifact_id": 1}] * 4, "qwen takes 1 to 3 pictures"),
        (["x"], "artifact_id or base64"),
        ([{"artifact_id": 1, "base64": ""}], "artifact_id or base64"),
        ([{"artifact_id": True}], "artifact_id or base64"),
        ([{"artifact_id": 2**63}], "no number of an artifact"),
        ([{"base64": "!"}], "is no base64"),
        ([{"base64": "ä"}], "is no base64"),
    ],
)
def test_pictures_that_are_not_written_as_such_are_named(images, words) -> None:
    with pytest.raises(Invalid) as refused:
        from_json(qwen, PLAIN | {"images": images})

    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"), [("prompt", b"x"), ("image", "x"), ("seed", "x"), ("steps", b"x"), ("x", "1")]
)
def test_a_field_of_a_form_that_does_not_fit_is_named(name: str, value: str | bytes) -> None:
    fields = [("prompt", "red"), ("image", "12"), (name, value)]

    with pytest.raises(Invalid) as refused:
        from_form(qwen, fields)

    assert name in [fault.at for fault in refused.value.faults]


def test_a_field_that_is_there_twice_is_named() -> None:
    with pytest.raises(Invalid, match="steps: is there twice"):
        from_form(flux, [("prompt", "a"), ("steps", "4"), ("steps", "5")])


def test_a_size_in_a_form_is_one_field_or_two() -> None:
    prompt = ("prompt", "a")

    assert from_form(flux, [prompt, ("size", "512x256")]).given["size"] == [512, 256]
    assert from_form(flux, [prompt, ("size", "512"), ("size", "256")]).given["size"] == [512, 256]
    with pytest.raises(Invalid, match="size"):
        from_form(flux, [prompt, ("size", "512"), ("size", "256"), ("size", "128")])


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert from_json(flux, {"arguments": {"prompt": "a", "steps": 4.0}}).given["steps"] == 4


def test_null_is_nothing_where_it_may_stand() -> None:
    wanted = from_json(flux, PLAIN | {"variant": None, "callback_url": None})

    assert (wanted.arguments.variant, wanted.callback_url) == (None, None)
    assert wanted.digest == from_json(flux, PLAIN).digest


def test_a_picture_may_come_as_a_data_url() -> None:
    wanted = from_json(qwen, PLAIN | {"images": [{"base64": "data:image/png;base64,aGFsbG8="}]})

    assert wanted.images == (Image(content=b"hallo"),)


def test_a_picture_is_not_decoded_beyond_its_bound() -> None:
    with pytest.raises(TooLarge):
        from_json(qwen, PLAIN | {"images": [{"base64": "a" * (2 * IMAGE_BYTES)}]})


def test_the_same_request_has_one_digest_however_it_is_written() -> None:
    in_json = from_json(flux, {"arguments": {"prompt": "a cat", "size": [512, 256], "seed": 7}, "variant": "dev"})
    in_form = from_form(flux, [("variant", "dev"), ("seed", "7"), ("size", "512x256"), ("prompt", " a cat ")])

    assert in_json.digest == in_form.digest
    assert in_json.digest != from_json(flux, {"arguments": {"prompt": "a cat", "size": [512, 256], "seed": 7}}).digest


def test_a_seed_that_nobody_chose_makes_no_other_request() -> None:
    first, second = from_json(flux, PLAIN), from_json(flux, PLAIN)

    assert first.arguments.values["seed"] != second.arguments.values["seed"]
    assert first.digest == second.digest


@pytest.mark.parametrize("command", [flux, qwen, sd3, wan], ids=lambda command: command.name)
def test_the_schema_names_every_parameter_and_its_default_fits(command: Command) -> None:
    schema = request_schema(command)
    arguments = schema["properties"]["arguments"]

    named = {p.name for p in command.parameters} - ({command.image_input.name} if command.image_input else set())
    assert set(arguments["properties"]) == named
    assert arguments["required"] == ["prompt"]
    assert ("images" in schema["properties"]) == (command.image_input is not None)
    for name, one in arguments["properties"].items():
        if "default" in one:
            assert checked(command.parameter(name), one["default"]) == one["default"]


def test_the_pattern_of_text_is_what_is_left_of_it_in_a_prompt() -> None:
    characters = map(chr, [*range(0xD800), *range(0xE000, 0x10000)])

    assert [f"U+{ord(c):04X}" for c in characters if bool(re.search(SEEN, c)) != bool(cleaned(c))] == []


def test_a_choice_is_written_exactly() -> None:
    style = Choice("style", choices=("oil", "ink"), default="oil")

    assert checked(style, "ink") == "ink"
    with pytest.raises(VeilrunError):
        checked(style, "INK")


def test_a_parameter_of_a_third_party_that_breaks_refuses_the_value() -> None:
    class Odd(Parameter):
        usage = "--odd"

        def parse(self, text, option):
            raise KeyError(text) if text == "key" else ValueError(text)

    with pytest.raises(VeilrunError, match="odd does not take this"):
        checked(Odd("odd"), 3)
