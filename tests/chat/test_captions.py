import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from runtime.chat.captions import (
    CAPTION_UNITS,
    duration,
    file_stem,
    result_caption,
    shortened,
    utf16_units,
)

any_text = st.text(alphabet=st.characters(codec=None), max_size=300) | st.text(
    alphabet="a \n👩‍🚀🇩🇪🏽e\u0301\ufe0f\ud83d漢", max_size=300
)


def _units(string: str) -> int:
    return len(string.encode("utf-16-le", "surrogatepass")) // 2


@given(any_text)
def test_the_length_is_counted_as_telegram_counts_it(string):
    assert utf16_units(string) == _units(string)


@given(any_text, st.integers(0, 200))
def test_a_shortened_text_fits_and_can_be_sent(string, units):
    short = shortened(string, units)
    assert _units(short) <= units
    short.encode("utf-8")


@given(st.text(max_size=100))
def test_a_text_that_fits_is_left_alone(string):
    assert shortened(string, utf16_units(string)) == string


@given(any_text, st.integers(1, 200))
def test_what_is_cut_off_says_so_and_what_is_left_is_the_beginning(string, units):
    short = shortened(string, units)
    whole = shortened(string, 10_000)
    assert short == whole or (short.endswith("…") and whole.startswith(short[:-1]))


letters = st.builds(str.__add__, st.sampled_from("ae"), st.text(alphabet="\u0301\u0323", max_size=3))


@given(st.lists(letters, min_size=1, max_size=30), st.integers(1, 40))
def test_an_accent_stays_with_its_letter(written, units):
    string = "".join(written)
    cut = shortened(string, units).removesuffix("…")
    assert string.startswith(cut)
    assert string[len(cut) :][:1] not in ("\u0301", "\u0323")


def test_a_family_or_a_flag_is_not_cut_in_two():
    family = "👩‍👩‍👧‍👦"
    assert shortened("ab" + family + "cd", 8) == "ab…"
    assert shortened("🇩🇪🇫🇷🇳🇱🇪🇸", 8) == "🇩🇪…"
    assert shortened("👍🏽👍🏽👍🏽", 8) == "👍🏽…"
    assert unicodedata.normalize("NFC", shortened("e\u0301" * 5, 4)) == "é…"


def test_a_long_prompt_is_cut_between_words():
    assert shortened("an astronaut riding a horse on the moon", 30) == "an astronaut riding a horse…"


def test_a_caption_tells_prompt_command_seed_and_time():
    caption = result_caption("en", command="flux", variant="dev", prompt="an\nastronaut", seed=7, seconds=4.21)
    assert caption == "an astronaut\n\nflux --dev · 🎲 7 · ⏱ 4.2 s"


def test_a_caption_without_a_prompt_is_its_facts():
    assert result_caption("en", command="sd3", variant=None, prompt=" ", seed=None, seconds=None) == "sd3"


@given(any_text | st.text(min_size=1000, max_size=3000), st.integers(0, 2**64 - 1), st.floats(0, 1e7))
def test_a_caption_never_exceeds_its_limit_and_always_tells_the_seed(prompt, seed, seconds):
    caption = result_caption("de", command="flux", variant=None, prompt=prompt, seed=seed, seconds=seconds)
    assert _units(caption) <= CAPTION_UNITS
    assert str(seed) in caption


def test_times_read_well():
    shown = [duration("en", seconds) for seconds in (0.04, 9.94, 9.96, 59.4, 59.6, 187)]
    assert shown == ["⏱ 0.0 s", "⏱ 9.9 s", "⏱ 10 s", "⏱ 59 s", "⏱ 1 min 0 s", "⏱ 3 min 7 s"]


def test_files_are_named_after_command_and_seed():
    assert file_stem("flux", 7, 0, 1) == "flux-7"
    assert file_stem("wan", None, 1, 3) == "wan-2"
