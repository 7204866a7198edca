"""Golden graphs: what a line in the chat is turned into, kept in a file and compared."""

import difflib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from runtime.api import Command, Graph, Invocation, Medium, Seed
from runtime.dispatch.arguments import parse_arguments
from runtime.registry import Registry
from runtime.worker.graph import fill_graph

SEED = 0
"""The seed of a line that names none: a golden graph is the same every time."""


def rendered_graph(
    command: Command, line: str = "", *, images: int | None = None, registry: Registry | None = None
) -> Graph:
    """The graph that `line`, the words after the command, is turned into.

    images: how many pictures come with it, named `input-1.png` and so on; None: as few as the command needs. registry:
    whose plugins' `build_workflow` hooks have their say, if any.

    Raises: BadArguments if the command does not understand the line; PluginFailed.
    """
    arguments = parse_arguments(command, line)
    values = dict(arguments.values)
    for parameter in command.parameters:
        if isinstance(parameter, Seed) and parameter.name in arguments.by_chance:
            values[parameter.name] = SEED
    count = images if images is not None else command.image_input.low if command.image_input else 0
    uploads = tuple(f"input-{number}.png" for number in range(1, count + 1))
    media = tuple(Medium("image", "image/png", 1000, 1024, 1024) for _ in uploads)
    invocation = Invocation(command.name, values, arguments.variant, inputs=media, uploads=uploads)
    graph = fill_graph(command, invocation)
    return registry.build_workflow(invocation, graph) if registry is not None else graph


class Golden:
    """The golden graphs of one test, in `golden/<test>.json` beside its file; a second one in `<test>-2.json`."""

    def __init__(self, folder: Path, name: str, *, registry: Registry | None = None, update: bool = False) -> None:
        self._folder = folder
        self._name = name
        self._registry = registry
        self._update = update
        self._count = 0

    def __call__(self, command: Command, line: str = "", *, images: int | None = None) -> Graph:
        """Compare the graph of `line` with the one that was kept; see `rendered_graph`.

        A new or changed graph is an AssertionError with the difference, unless pytest runs with `--update-golden`.
        """
        __tracebackhide__ = True
        self._count += 1
        name = self._name if self._count == 1 else f"{self._name}-{self._count}"
        file = self._folder / f"{name}.json"
        graph = rendered_graph(command, line, images=images, registry=self._registry)
        text = written(graph)
        if self._update:
            if os.environ.get("CI"):
                raise AssertionError(
                    "golden graphs are not updated in CI: run pytest --update-golden yourself, and look"
                )
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            return graph
        if not file.exists():
            raise AssertionError(f"there is no {file.name} yet: run pytest --update-golden, and look at what it writes")
        kept = file.read_text(encoding="utf-8")
        if json.loads(kept) != graph:
            raise AssertionError("\n".join(_told(file, kept, text)))
        return graph


def written(graph: Graph) -> str:
    """The graph as it is kept: the same text for the same graph."""
    return json.dumps(graph, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _told(file: Path, kept: str, made: str) -> Sequence[str]:
    before, after = written(json.loads(kept)).splitlines(), made.splitlines()
    lines = difflib.unified_diff(before, after, f"{file.name} (kept)", "the graph now", lineterm="", n=2)
    return [f"the graph is another one than {file.name} says; pytest --update-golden keeps the new one", *lines]
