"""Which command a message is for."""

import pytest

from runtime.dispatch.command_line import CommandLine, read_command


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/f an astronaut", CommandLine("f", "an astronaut")),
        ("/F an astronaut", CommandLine("f", "an astronaut")),
        ("/f@Veilrun_Bot an astronaut", CommandLine("f", "an astronaut", "Veilrun_Bot")),
        ("  \n /f  an\nastronaut ", CommandLine("f", "an\nastronaut")),
        ("/f\nan astronaut", CommandLine("f", "an astronaut")),
        ("/f\u00a0an astronaut", CommandLine("f", "an astronaut")),
        ("\u200f/f רכבת", CommandLine("f", "רכבת")),
        ("/f: an astronaut", CommandLine("f", "an astronaut")),
        ("/help!", CommandLine("help", "")),
        ("/help?", CommandLine("help", "")),
        ("/f 😀 /qwen", CommandLine("f", "😀 /qwen")),
        ("/f", CommandLine("f", "")),
    ],
)
def test_a_command_is_the_first_word(text: str, expected: CommandLine) -> None:
    assert read_command(text) == expected


@pytest.mark.parametrize(
    "text", ["", "/", "hello", "say /f", "/path/to/file", "//f", "/ f", "/f-dev", "/f@", "/f@ x", "/é", "/" + "f" * 65]
)
def test_what_is_no_command(text: str) -> None:
    assert read_command(text) is None
