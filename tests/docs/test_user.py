"""The guide for people in the chat names everything that they may write or press."""

from pathlib import Path

import pytest

from plugins.flux import flux
from plugins.qwen import qwen
from plugins.sd3 import sd3
from plugins.wan import wan
from runtime.api import Command
from runtime.chat.texts import catalogue
from runtime.dispatch.arguments import parse_arguments
from runtime.dispatch.built_in import COMMANDS

GUIDE = (Path(__file__).parents[2] / "docs" / "user.md").read_text(encoding="utf-8")
SHIPPED = (flux, qwen, sd3, wan)


@pytest.mark.parametrize("name", [name for command in SHIPPED for name in (command.name, *command.aliases)])
def test_every_shipped_command_is_explained(name: str) -> None:
    assert f"`/{name}`" in GUIDE


@pytest.mark.parametrize("command", SHIPPED, ids=lambda command: command.name)
def test_every_option_is_explained(command: Command) -> None:
    positional = [option for parameter in command.parameters for option in parameter.options if option != "image"]
    options = positional + [variant.name for variant in command.variants]

    assert [option for option in options if f"`--{option}" not in GUIDE] == []


@pytest.mark.parametrize("command", SHIPPED, ids=lambda command: command.name)
def test_every_example_works_as_it_is_written(command: Command) -> None:
    names = (command.name, *command.aliases)
    lines = [part for part in GUIDE.replace("\n", "`").split("`") if part.startswith(tuple(f"/{n} " for n in names))]

    assert lines
    for line in lines:
        parse_arguments(command, line.partition(" ")[2])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_built_in_command_is_explained(name: str) -> None:
    assert f"`/{name}`" in GUIDE


@pytest.mark.parametrize("key", [key for key in catalogue("en") if key.startswith("button.")])
def test_every_button_is_explained(key: str) -> None:
    assert catalogue("en")[key] in GUIDE
