"""Entities are found, parsed and counted in UTF-16 units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.sandbox.telegram.entities import detect, format_text
from runtime.sandbox.telegram.errors import BadRequest
from runtime.sandbox.telegram.utf16 import utf16_length, utf16_slice

WORDS = st.text(alphabet=st.characters(exclude_categories=("Cs", "Zs", "Cc")), min_size=1, max_size=12)


def spans(text: str, mode: str = "") -> list[tuple[str, str]]:
    formatted = format_text(text, mode)
    return [
        (str(entity["type"]), utf16_slice(formatted.text, entity["offset"], entity["length"]))
        for entity in formatted.entities
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/f an astronaut", [("bot_command", "/f")]),
        ("/f@veilrun_bot an astronaut", [("bot_command", "/f@veilrun_bot")]),
        ("🚀 /f go", [("bot_command", "/f")]),
        ("either/or 1/2 //x", []),
        ("see https://example.org/a?b=1, then #art or @veilrun_bot for $TON", None),
        ("mail me@example.org", [("email", "me@example.org")]),
    ],
)
def test_telegram_finds_entities_in_plain_text(text: str, found: list[tuple[str, str]] | None) -> None:
    expected = found
    if expected is None:
        expected = [
            ("url", "https://example.org/a?b=1"),
            ("hashtag", "#art"),
            ("mention", "@veilrun_bot"),
            ("cashtag", "$TON"),
        ]
    assert spans(text) == expected


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("<b>bold</b> and <i>it<u>al</u>ic</i>", "bold and italic", ["bold", "italic", "underline"]),
        ("a &lt; b &amp; c &#33; &copy;", "a < b & c ! &copy;", []),
        ('<a href="https://x.org/">here</a>', "here", ["text_link"]),
        ('<pre><code class="language-python">x = 1</code></pre>', "x = 1", ["pre"]),
        ("<code>x</code> <s>y</s> <tg-spoiler>z</tg-spoiler>", "x y z", ["code", "strikethrough", "spoiler"]),
        ('<span class="tg-spoiler">z</span>', "z", ["spoiler"]),
        ("<blockquote expandable>long</blockquote>", "long", ["expandable_blockquote"]),
        ("  <b> spaced </b>  ", "spaced", ["bold"]),
    ],
)
def test_html_becomes_text_and_entities(source: str, text: str, found: list[str]) -> None:
    formatted = format_text(source, "HTML")
    assert formatted.text == text
    assert [entity["type"] for entity in formatted.entities] == found


def test_html_keeps_links_and_languages() -> None:
    assert (
        format_text('<a href="https://x.org/?a=1&amp;b=2">x</a>', "html").entities[0]["url"] == "https://x.org/?a=1&b=2"
    )
    fence = format_text('<pre><code class="language-json">{}</code></pre>', "html").entities[0]
    assert fence["language"] == "json"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
        ("<x>y</x>", 'Unsupported start tag "x" at byte offset 0'),
        ("<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("é <b", "Unclosed start tag at byte offset 3"),
        ("1 < 2", "Unclosed start tag at byte offset 2"),
    ],
)
def test_broken_html_is_refused_with_its_byte_offset(source: str, complaint: str) -> None:
    with pytest.raises(BadRequest) as refused:
        format_text(source, "HTML")
    assert refused.value.description == f"Bad Request: can't parse entities: {complaint}"


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("*bold* _it_ __under__ ~gone~ ||hid||", "bold it under gone hid", 5),
        ("`a.b` and ```python\nx = 1\n```", "a.b and x = 1", 2),
        ("[here](https://x.org/a_b)\\!", "here!", 1),
        (">quoted\n>still\nnot", "quoted\nstill\nnot", 1),
        ("1\\.5 \\- 2", "1.5 - 2", 0),
        ("*bold _both_*", "bold both", 2),
    ],
)
def test_markdown_v2_becomes_text_and_entities(source: str, text: str, found: int) -> None:
    formatted = format_text(source, "MarkdownV2")
    assert (formatted.text, len(formatted.entities)) == (text, found)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("a.b", "Character '.' is reserved and must be escaped with the preceding '\\'"),
        ("*open", "Can't find end of Bold entity at byte offset 0"),
        ("é `open", "Can't find end of Code entity at byte offset 3"),
    ],
)
def test_broken_markdown_is_refused(source: str, complaint: str) -> None:
    with pytest.raises(BadRequest) as refused:
        format_text(source, "MarkdownV2")
    assert refused.value.description == f"Bad Request: can't parse entities: {complaint}"


def test_legacy_markdown_needs_no_escaping() -> None:
    assert spans("*Done.* See [it](https://x.org)", "Markdown") == [("bold", "Done."), ("text_link", "it")]


def test_given_entities_must_fit_the_text() -> None:
    with pytest.raises(BadRequest, match="ENTITY_BOUNDS_INVALID"):
        format_text("short", given=[{"type": "bold", "offset": 0, "length": 99}])


@given(WORDS, WORDS)
def test_an_html_entity_covers_exactly_its_words(before: str, inside: str) -> None:
    def escaped(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    formatted = format_text(f"{escaped(before)}<b>{escaped(inside)}</b>.", "HTML")
    (bold,) = [entity for entity in formatted.entities if entity["type"] == "bold"]
    assert utf16_slice(formatted.text, bold["offset"], bold["length"]) == inside.strip() or inside != inside.strip()


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_lengths_agree_with_the_utf_16_encoding(text: str) -> None:
    assert utf16_length(text) == len(text.encode("utf-16-le")) // 2
    for entity in detect(text):
        assert entity["offset"] >= 0
        assert entity["offset"] + entity["length"] <= utf16_length(text)
