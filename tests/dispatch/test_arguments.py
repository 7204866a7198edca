"""What people write after a command, and what comes of it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.flux import flux
from plugins.qwen import qwen
from plugins.sd3 import sd3
from plugins.wan import wan
from runtime.api import Command, GpuAffinity, ImageInput, Parameter, Prompt, Seed, Value, Variant, Workflow
from runtime.dispatch.arguments import Arguments, BadArguments, parse_arguments

COMMANDS = (flux, qwen, sd3, wan)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("an astronaut", {"prompt": "an astronaut", "steps": 4, "size": [1024, 1024], "n": 1}),
        ("an astronaut --seed 7", {"prompt": "an astronaut", "seed": 7}),
        ("--seed 7 an astronaut", {"prompt": "an astronaut", "seed": 7}),
        ("an --seed 7 astronaut", {"prompt": "an astronaut", "seed": 7}),
        ("an astronaut --seed=7", {"seed": 7}),
        ("an astronaut —seed 7", {"seed": 7}),  # iOS
        ("an astronaut –seed 7", {"seed": 7}),
        ("an astronaut --SEED 7", {"seed": 7}),
        ("an astronaut --size 1024x768", {"size": [1024, 768]}),
        ("an astronaut --size 1024×768", {"size": [1024, 768]}),
        ("an astronaut --ar 16:9", {"size": [1360, 768]}),
        ("a cat\non a mat --n 4", {"prompt": "a cat\non a mat", "n": 4}),
        ("a sci-fi -- city, well--known, -5 degrees", {"prompt": "a sci-fi -- city, well--known, -5 degrees"}),
        ("don't stop", {"prompt": "don't stop"}),
        ("a\u00a0cat\u200b\x00 \ud800here", {"prompt": "a cat here"}),
        ("an astronaut ‒seed 7", {"seed": 7}),
        ("an astronaut ―seed 7", {"seed": 7}),
        ("an astronaut --seed = 7", {"prompt": "an astronaut", "seed": 7}),
        ("an astronaut --ar:16:9", {"prompt": "an astronaut", "size": [1360, 768]}),
        ("an astronaut --seed “7”", {"prompt": "an astronaut", "seed": 7}),
        ("רכבת \u200f--seed 7\u200e", {"prompt": "רכבת", "seed": 7}),  # marks of direction stick to option and value
        ("\u202eevil\u202c cat", {"prompt": "evil cat"}),  # would turn the whole caption around
        ("a\vcat\x85here\r\nnow", {"prompt": "a cat here \nnow"}),
        (
            "a face \U0001fae8 \U0001f468\u200d\U0001f469\u200d\U0001f467",
            {"prompt": "a face \U0001fae8 \U0001f468\u200d\U0001f469\u200d\U0001f467"},
        ),
        ("می\u200cخواهم", {"prompt": "می\u200cخواهم"}),
        (
            "a city — at night, 5 --- 6, --5 degrees, -seed 7",
            {"prompt": "a city — at night, 5 --- 6, --5 degrees, -seed 7"},
        ),
        ('"a cat" --seed 7 "a hat"', {"prompt": '"a cat" "a hat"', "seed": 7}),
        (f"x --seed {2**64 - 1}", {"seed": 2**64 - 1}),
    ],
)
def test_what_flux_understands(text: str, expected: dict[str, object]) -> None:
    values = parse_arguments(flux, text).values

    assert {name: values[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "prompt", "negative"),
    [
        ('a lake --negative "people, text" at night', "a lake at night", "people, text"),
        ("a lake --negative “people — text” at night", "a lake at night", "people — text"),
        ('a lake --negative "a --seed 7 b"', "a lake", "a --seed 7 b"),
        ("a lake --negative people, text --seed 7", "a lake", "people, text"),
        ("a lake --negative 'tis night --seed 7 don't", "a lake don't", "'tis night"),
        ("a lake --negative 'it's dark' at dawn", "a lake at dawn", "it's dark"),
        ("a lake --negative „Leute“ bei Nacht", "a lake bei Nacht", "Leute"),
        ("a lake --negative «люди» ночью", "a lake ночью", "люди"),
        ('a lake --negative "people', "a lake", '"people'),
        ("a lake --negative=people", "a lake", "people"),
        ('a lake --negative "two\nlines"', "a lake", "two\nlines"),
    ],
)
def test_a_text_option_takes_quotes_or_all_up_to_the_next_option(text: str, prompt: str, negative: str) -> None:
    values = parse_arguments(sd3, text).values

    assert (values["prompt"], values["negative"]) == (prompt, negative)


def test_dev_brings_its_own_steps_but_mine_win() -> None:
    assert parse_arguments(flux, "a cat --dev").variant == "dev"
    assert parse_arguments(flux, "a cat --dev").values["steps"] == 20
    assert parse_arguments(flux, "--dev a cat --steps 8").values["steps"] == 8
    assert parse_arguments(flux, "--dev a cat").values["prompt"] == "a cat"


def test_a_seed_is_random_unless_given() -> None:
    seeds = {parse_arguments(flux, "a cat").values["seed"] for _ in range(8)}

    assert len(seeds) > 1


@pytest.mark.parametrize(
    ("command", "text", "reason"),
    [
        (flux, "", "Tell me what you want to see. Example: /f "),
        (flux, "   \n ", "Tell me what you want to see."),
        (flux, "--seed 7", "Tell me what you want to see."),
        (qwen, "", "Tell me what to change. Example: /qwen put a t-shirt on him"),
        (flux, "x --steps 99", "--steps must be from 1 to 50, not 99. Example: /f "),
        (flux, "x --steps many", "--steps takes a whole number from 1 to 50, not 'many'."),
        (flux, "x --steps", "--steps needs a value, as in --steps 1..50."),
        (flux, "x --step 4", "/flux has no --step: did you mean --steps?"),
        (flux, "x --frobnicate 4", "/flux has no --frobnicate: it takes --size, --ar, --n, --steps, --seed, --dev."),
        (flux, "x --seed 1 --seed 2", "--seed is there twice."),
        (flux, "x --dev --dev", "--dev is there twice."),
        (flux, "x --dev=yes", "--dev takes no value."),
        (flux, "x --dev --steps 51", "--steps must be from 1 to 50, not 51."),
        (flux, "x --größe 5", "/flux has no --größe: it takes --size, "),
        (flux, "x --size1024x768", "/flux has no --size1024x768: did you mean --size?"),
        (sd3, "x --neg people", "/sd3 has no --neg: did you mean --negative?"),
        (flux, "x --seed=", "--seed needs a value, as in --seed <number>."),
        (flux, "x --seed 7 --seed=", "--seed is there twice."),
        (flux, 'x --ar "1\n:999"', "--ar 1 :999 is too narrow"),
        (flux, "x " * 10_001, "That is 20002 characters long, 20000 are allowed."),
        (flux, "\u200b\u202e\x00", "Tell me what you want to see."),
        (flux, "x --size 512x512 --ar 1:1", "--size and --ar say the same."),
        (flux, "x --size big", "--size takes width x height like 1024x768, not 'big'."),
        (flux, "x --size 1000x1000", "--size: each side must be a multiple of 16; the nearest is 992x992."),
        (flux, "x --size 64x64", "--size: each side must be from 256 to 2048, not 64."),
        (flux, "x --ar 1:99", "--ar 1:99 is too narrow"),
        (flux, "x --ar 0:1", "--ar takes a ratio like 16:9"),
        (flux, "x --n 5", "--n must be from 1 to 4, not 5."),
        (flux, "x --seed -1", "--seed takes a whole number from 0 to 2^64-1, not '-1'."),
        (flux, f"x --seed {2**64}", "--seed takes a whole number from 0 to 2^64-1"),
        (flux, "x --seed ٧", "--seed takes a whole number"),
        (flux, "x" * 4001, "Prompt is 4001 characters long, 4000 are allowed."),
        (wan, "x --seconds 60", "--seconds must be from 0.5 to 5, not 60."),
        (wan, "x --seconds nan", "--seconds takes a number from 0.5 to 5, not 'nan'."),
        (wan, "x --n 2", "/wan has no --n"),
        (sd3, "x --cfg 1e3", "--cfg takes a number from 1 to 15, not '1e3'."),
        (sd3, 'x --negative ""', "Negative is empty."),
    ],
)
def test_what_does_not_fit_is_said_in_one_line_with_an_example(command: Command, text: str, reason: str) -> None:
    with pytest.raises(BadArguments) as refused:
        parse_arguments(command, text)

    line = str(refused.value)
    assert line.startswith(reason)
    assert f"Example: {command.written_example}" in line
    assert "\n" not in line


@given(st.sampled_from(COMMANDS), st.text(max_size=200))
def test_no_text_does_anything_else_than_parse_or_be_refused(command: Command, text: str) -> None:
    try:
        values = parse_arguments(command, text).values
    except BadArguments:
        return
    for name, value in values.items():
        assert command.parameter(name).check(value) == value


OPTIONS = st.lists(
    st.sampled_from(["--seed 7", "—steps 3", "--dev", "--size 512x512", "--negative", '"', "--n=2", "--", "a cat"]),
    max_size=8,
)


@given(st.sampled_from(COMMANDS), OPTIONS)
def test_nor_does_any_mixture_of_options(command: Command, parts: list[str]) -> None:
    try:
        arguments = parse_arguments(command, " ".join(parts))
    except BadArguments:
        return
    assert arguments.values["prompt"]


def command_with(*parameters: Parameter) -> Command:
    workflow = Workflow(graph={"save": {"class_type": "Save", "inputs": {}}}, bind={}, output="save")
    return Command("frame", "Put a frame around it", parameters, workflow, GpuAffinity(1), example="--seed 7")


def test_two_variants_are_refused() -> None:
    plain = command_with(Prompt())
    variants = tuple(Variant(name, name, plain.workflow, plain.affinity) for name in ("dev", "pro"))
    command = replace(plain, variants=variants)

    with pytest.raises(BadArguments, match="--dev and --pro do not go together"):
        parse_arguments(command, "x --dev --pro")


def test_a_command_without_words_takes_options_only() -> None:
    command = command_with(ImageInput(), Seed())

    assert parse_arguments(command, "--seed 7").values == {"seed": 7}
    with pytest.raises(BadArguments, match="/frame takes options only, not 'a cat'"):
        parse_arguments(command, "a cat --seed 7")
    with pytest.raises(BadArguments, match="/frame takes no options"):
        parse_arguments(command_with(ImageInput()), "--seed 7")


WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Z")), min_size=1, max_size=12
).filter(lambda word: word[0] not in "-—–‒―−\"'“„«‘")
PROMPTS = st.lists(WORDS, min_size=1, max_size=8).map(" ".join)
STEP = 16
SIDES = st.integers(256 // STEP, 2048 // STEP).map(lambda side: side * STEP)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, Arguments]:
    """A line for /sd3, with options in any order before and after the words, and what it means."""
    values: dict[str, Value] = {
        "prompt": draw(PROMPTS),
        "negative": draw(PROMPTS.filter(lambda text: '"' not in text)),
        "size": [draw(SIDES), draw(SIDES)],
        "n": draw(st.integers(1, 4)),
        "steps": draw(st.integers(1, 60)),
        "cfg": draw(st.floats(1, 15)),
        "seed": draw(st.integers(0, 2**64 - 1)),
    }
    options = []
    for name, value in values.items():
        if name == "prompt":
            continue
        text = f'"{value}"' if name == "negative" else sd3.parameter(name).written(value)
        options.append(draw(st.sampled_from(["--", "—", "–"])) + name + draw(st.sampled_from([" ", "=", "\n"])) + text)
    options = draw(st.permutations(options))
    cut = draw(st.integers(0, len(options)))
    return " ".join([*options[:cut], str(values["prompt"]), *options[cut:]]), Arguments(values)


@given(written())
def test_what_is_written_is_what_is_parsed(line: tuple[str, Arguments]) -> None:
    text, expected = line

    assert parse_arguments(sd3, text) == expected


@given(st.integers(1, 9999), st.integers(1, 9999))
def test_every_ratio_is_refused_or_gives_a_size_that_can_be_made(width: int, height: int) -> None:
    try:
        sides = parse_arguments(flux, f"x --ar {width}:{height}").values["size"]
    except BadArguments:
        assert max(width, height) / min(width, height) > 4  # 2048 x 512 has the pixels of 1024 x 1024
        return
    assert flux.parameter("size").check(sides) == sides


def test_values_are_plain_json() -> None:
    values = parse_arguments(flux, "x --dev").values

    assert {type(value) for value in values.values()} <= {str, int, float, list}
