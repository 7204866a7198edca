"""What every `--help` looks like on a terminal of 80 columns."""

import re
from collections.abc import Iterator

import click
import pytest
import typer.main
from typer.core import TyperOption

from runtime.cli import app


def every(command: click.Command, *path: str) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(path), command
    for name, inner in getattr(command, "commands", {}).items():
        yield from every(inner, *path, name)


COMMANDS = dict(every(typer.main.get_command(app), "veilrun"))


def text_of(name: str) -> str:
    command = COMMANDS[name]
    context = click.Context(command, info_name=name, terminal_width=80, max_content_width=80)
    return command.get_help(context)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_whole_and_says_everything(name: str) -> None:
    text = text_of(name)

    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"\w\.\.\.$", text, re.MULTILINE), "a summary is cut off"
    assert "Example: " in text
    for parameter in COMMANDS[name].params:
        assert parameter.help, f"{parameter.name} has no help"
        if isinstance(parameter, TyperOption) and not parameter.is_flag:
            assert parameter.metavar, f"--{parameter.name} shows the name of a type"
            assert parameter.metavar in text


def test_a_part_that_is_optional_stands_in_brackets_once() -> None:
    for name in COMMANDS:
        assert "[[" not in text_of(name), name
