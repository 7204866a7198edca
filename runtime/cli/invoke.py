"""`veilrun invoke`: one function from the shell, against any ComfyUI, without Telegram or a database."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from runtime.api import Command, Text, VeilrunError
from runtime.cli.output import AsJson, notices, print_json, screen
from runtime.cli.targets import NoSuchCommand, backend_of, everything_installed
from runtime.comfyui import Progress as Reading
from runtime.dispatch.arguments import Arguments, BadArguments, parse_arguments
from runtime.registry import BackendConfig, LoadedCommand, Registry, configured_registry
from runtime.settings import read_settings
from runtime.worker.local import run_once
from runtime.worker.outputs import Made


class WrongFile(VeilrunError):
    """A file cannot be read or written."""


class WrongPictures(VeilrunError):
    """The command takes another number of pictures."""


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command(
        epilog='Example: veilrun invoke flux "an astronaut" --seed 7 -o out.png --backend http://127.0.0.1:8188',
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(invoke)


def invoke(
    context: typer.Context,
    command: Annotated[
        str, typer.Argument(metavar="COMMAND WORDS…", help="What to run, for example: flux an astronaut --seed 7")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write; more get -2, -3 …")
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option("--image", "-i", metavar="FILE", help="A picture to work on; repeatable.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend", "-b", metavar="NAME", help="Address or registry name of the ComfyUI; default the first."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run one function from the shell.

    COMMAND is the name or an alias of a command; its words and options follow, as in the chat.
    Without a registry file, every installed plugin can be run. Ctrl-C stops the run on the backend, too.
    """
    settings = read_settings()
    path = settings.registry
    registry = configured_registry(settings) if path.exists() else everything_installed(settings.plugins_dir)
    loaded = registry.resolve(command.lstrip("/"))
    if loaded is None:
        known = ", ".join(sorted(registry.commands)) or "none"
        raise NoSuchCommand(f"there is no command {command!r}; enabled are: {known}")
    arguments = parse_arguments(loaded.command, line_of(loaded.command, context.args))
    if arguments.delay_seconds:
        raise BadArguments("--in is for the chat: from a shell, start this command when it is to run")
    pictures = _pictures(loaded.command, image or [])
    if output is not None:
        _check_writable(output)
    started = time.monotonic()
    made = asyncio.run(_run(registry, loaded, arguments, backend_of(registry, backend), pictures, settings.anon_dir))
    files = [_write(one, _name(output, loaded, arguments, one, number)) for number, one in enumerate(made, 1)]
    seconds = round(time.monotonic() - started, 2)
    if as_json:
        print_json({"files": [str(f) for f in files], "arguments": dict(arguments.values), "seconds": seconds})
        return
    for file in files:
        screen.print(str(file), soft_wrap=True)
    seed = arguments.values.get("seed")
    notices.print(f"{seconds} s" + (f", seed {seed}" if seed is not None else ""))


async def _run(
    registry: Registry,
    loaded: LoadedCommand,
    arguments: Arguments,
    backend: BackendConfig,
    pictures: list[bytes],
    anon_dir: Path,
) -> list[Made]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=notices, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"/{loaded.command.name}", total=1.0)

        async def show(reading: Reading) -> None:
            progress.update(task, completed=reading.fraction, description=reading.title or f"/{loaded.command.name}")

        collected = await run_once(
            registry,
            loaded,
            arguments.values,
            backend,
            variant=arguments.variant,
            images=pictures,
            on_progress=show,
            anon_dir=anon_dir,
        )
    return list(collected.made)


def line_of(command: Command, words: Sequence[str]) -> str:
    """The words as one would write them in a chat: what the shell kept together as the value of an option is quoted."""
    options = {f"--{option}" for p in command.parameters if isinstance(p, Text) for option in p.options}
    line: list[str] = []
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if number and words[number - 1] in options:
            word = _quoted(word)
        elif equals and name in options:
            word = f"{name}={_quoted(value)}"
        line.append(word)
    return " ".join(line)


def _quoted(text: str) -> str:
    pairs = (('"', '"'), ("“", "”"), ("«", "»"))
    opening, closing = next((pair for pair in pairs if pair[1] not in text), pairs[0])
    return f"{opening}{text}{closing}"


def _check_writable(path: Path) -> None:
    """Before the run: a result that cannot be kept is lost. Raises: WrongFile."""
    if not path.parent.is_dir():
        raise WrongFile(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise WrongFile(f"{path}: is a folder; name a file in it")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise WrongFile(f"{path}: cannot be written")


def _pictures(command: Command, paths: list[Path]) -> list[bytes]:
    wanted = command.image_input
    low, high = (wanted.low, wanted.high) if wanted else (0, 0)
    if len(paths) < low:
        needed = "a picture" if low == 1 else f"{low} pictures"
        raise WrongPictures(f"/{command.name} needs {needed}: --image FILE")
    if len(paths) > high:
        raise WrongPictures(f"/{command.name} takes {f'at most {high}' if high else 'no'} pictures, not {len(paths)}")
    pictures: list[bytes] = []
    for path in paths:
        try:
            pictures.append(path.read_bytes())
        except OSError as error:
            raise WrongFile(f"{path}: {error.strerror}") from error
    return pictures


def _name(output: Path | None, loaded: LoadedCommand, arguments: Arguments, made: Made, number: int) -> Path:
    if output is None:
        output = Path(f"{loaded.command.name}-{arguments.values.get('seed', 'result')}{made.suffix}")
    return output if number == 1 else output.with_name(f"{output.stem}-{number}{output.suffix}")


def _write(made: Made, path: Path) -> Path:
    try:
        path.write_bytes(made.content)
    except OSError as error:
        raise WrongFile(f"{path}: {error.strerror}") from error
    return path
