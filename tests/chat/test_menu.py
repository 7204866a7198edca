from runtime.api import Command, GpuAffinity, Prompt, Workflow
from runtime.chat.captions import utf16_units
from runtime.chat.menu import DESCRIPTION_UNITS, MENU_SIZE, menu, publish_menu

GRAPH = {"save": {"class_type": "SaveImage", "inputs": {"text": ""}}}


def command(name: str, summary: str = "Text to image", aliases: tuple[str, ...] = ()) -> Command:
    workflow = Workflow(GRAPH, {"prompt": "save.text"}, "save")
    return Command(name, summary, (Prompt(),), workflow, GpuAffinity(8), aliases=aliases)


def test_the_menu_has_the_commands_and_what_the_bot_understands():
    shown = dict(menu([command("flux", aliases=("f",))], "de-AT"))
    assert shown["flux"] == "Text to image (/f)"
    assert list(shown) == ["flux", "help", "status", "cancel", "start"]
    assert shown["help"] == "Befehle und ihre Optionen"


def test_a_command_cannot_hide_what_the_bot_itself_understands():
    assert dict(menu([command("help", "mine")], "en"))["help"] == "Commands and their options"


def test_the_menu_stays_within_telegrams_bounds():
    crowd = [command(f"c{number}", "🎨" * 256, aliases=("x",)) for number in range(150)]
    shown = menu(crowd, "en")
    assert len(shown) == MENU_SIZE
    assert {"help", "status", "cancel", "start"} <= {name for name, _ in shown}
    assert all(1 <= utf16_units(description) <= DESCRIPTION_UNITS for _, description in shown)


async def test_the_menu_is_published_once_and_again_only_when_it_changes(gateway, sandbox):
    assert await publish_menu(gateway, [command("flux")]) == 2
    assert await publish_menu(gateway, [command("flux")]) == 0
    assert len(sandbox.journal.calls("setMyCommands")) == 2
    assert await publish_menu(gateway, [command("flux"), command("wan")]) == 2
    assert "wan" in dict(await gateway.commands(language="de"))
