"""What is measured when the operator names it as in the chat."""

import pytest

from runtime.bench import NothingToMeasure, cases_of
from runtime.dispatch.arguments import BadArguments
from runtime.registry import Registry


def test_every_enabled_command_is_measured_with_its_variants(registry: Registry) -> None:
    assert [case.template for case in cases_of(registry)] == ["flux", "flux --dev", "qwen", "wan", "sd3"]


def test_a_case_is_named_as_in_the_chat_with_what_was_chosen(registry: Registry) -> None:
    (plain,), (chosen,) = cases_of(registry, ["/f --dev"]), cases_of(registry, ["flux --dev --steps 8 --size 512x512"])

    assert (plain.template, plain.variant) == ("flux --dev", "dev")
    assert chosen.template == "flux --dev --size 512x512 --steps 8"
    assert chosen.options == {"size": [512, 512], "n": 1, "steps": 8}


def test_a_default_that_is_written_out_is_the_plain_template(registry: Registry) -> None:
    (case,) = cases_of(registry, ["flux --steps 4"])

    assert case.template == "flux"


def test_the_prompt_is_the_operators_or_that_of_the_authors_example(registry: Registry) -> None:
    (own,), (example,) = cases_of(registry, ["flux a red kite"]), cases_of(registry, ["flux"])

    assert own.arguments["prompt"] == "a red kite"
    assert example.arguments["prompt"] == "an astronaut on a beach"
    assert example.arguments["size"] == [1024, 1024]


def test_every_run_gets_a_seed_of_its_own(registry: Registry) -> None:
    (case,) = cases_of(registry, ["flux"])

    assert case.fresh()["seed"] != case.fresh()["seed"]


def test_a_template_that_works_on_a_picture_gets_one(registry: Registry) -> None:
    (edit,), (text,) = cases_of(registry, ["qwen"]), cases_of(registry, ["flux"])

    assert [picture[:4] for picture in edit.pictures()] == [b"\x89PNG"]
    assert text.pictures() == []


def test_a_command_that_is_not_there_is_refused_with_those_that_are(registry: Registry) -> None:
    with pytest.raises(NothingToMeasure, match="flux, qwen, sd3, wan"):
        cases_of(registry, ["fluks"])


def test_a_wrong_option_is_refused_as_in_the_chat(registry: Registry) -> None:
    with pytest.raises(BadArguments, match="steps"):
        cases_of(registry, ["flux --steps 900"])
