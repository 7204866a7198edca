"""The package itself: the analysis put into words of Python, and the template filled with them."""

import builtins
import json
import keyword
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runtime.api import Graph, Invocation, VeilrunError
from runtime.registry import BUILT_IN
from runtime.registry.single import PluginFile
from runtime.sandbox.comfyui.nodes import RECIPES
from runtime.scaffold.analysis import Analysis, Binding, NamedModel
from runtime.scaffold.links import parts_of
from runtime.testing.golden import rendered_graph, written

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_COMMAND = re.compile(r"[a-z0-9_]{1,32}")
SHIPPED = ("flux", "f", "qwen", "wan", "sd3")
UNKNOWN = "unknown: write where to get it"
USED = ("workflow", "hookimpl", "register_commands", "build_workflow", "golden", "chat", "comfyui", "photo")
"""Names that the module and its test have for something else."""

DRAWN = ("SaveImage", "PreviewImage", "SaveVideo", "SaveAnimatedWEBP")
"""Nodes with which the sandbox gives a result."""


class ScaffoldFailed(VeilrunError):
    """The package cannot be made as it was asked for. The text says what to do."""


@dataclass(frozen=True)
class NewPlugin:
    """What is to be made. name: of the package, `acme-upscale`. command: in the chat. vram_gb: the smallest card."""

    name: str
    command: str
    vram_gb: float
    analysis: Analysis
    links: Mapping[str, str]
    title: str = ""

    @classmethod
    def named(
        cls,
        name: str,
        analysis: Analysis,
        *,
        command: str | None = None,
        vram_gb: float = 24.0,
        links: Mapping[str, str],
    ) -> "NewPlugin":
        """Checked. links: model file -> where it is from, as far as it is known. Raises: ScaffoldFailed."""
        if not _NAME.fullmatch(name):
            raise ScaffoldFailed(
                f"{name!r} is no name of a package; use small letters, digits and -, like acme-upscale"
            )
        command = command or name.partition("-")[2].replace("-", "_") or name
        if not _COMMAND.fullmatch(command):
            raise ScaffoldFailed(f"/{command} is no command; Telegram takes 1 to 32 of a-z, 0-9 and _: --command NAME")
        if command in BUILT_IN or command in SHIPPED:
            raise ScaffoldFailed(f"/{command} is taken by veilrun itself; choose another one: --command NAME")
        plugin = cls(name, command, vram_gb, analysis, links)
        if plugin.module in sys.stdlib_module_names or plugin.module == "tests" or find_spec(plugin.module):
            raise ScaffoldFailed(f"a module {plugin.module} is there already; choose another name, like acme-{command}")
        return plugin

    @property
    def module(self) -> str:
        """The name to import."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """What the command is called in the module."""
        if self.command[0].isdigit():
            return f"command_{self.command}"
        taken = keyword.iskeyword(self.command) or hasattr(builtins, self.command) or self.command in USED
        return f"{self.command}_command" if taken else self.command

    @property
    def example(self) -> str:
        """What a user may type after the command."""
        return "an astronaut on a beach" if self.analysis.binding("prompt") else ""


def write_package(plugin: NewPlugin, into: Path) -> Path:
    """Write the package into a new folder in `into`; where it is. Raises: ScaffoldFailed."""
    try:
        from copier import run_copy
    except ImportError as error:
        raise ScaffoldFailed("plugins new needs a template tool: pip install 'veilrun[authors]'") from error
    target = into / plugin.name
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ScaffoldFailed(f"{target} is there already; choose another name, or another folder with --into")
    try:
        target.mkdir(parents=True, exist_ok=True)
        with as_file(files("runtime.scaffold").joinpath("template")) as template:
            run_copy(str(template), target, data=_answers(plugin), quiet=True, defaults=True, unsafe=False)
    except OSError as error:
        raise ScaffoldFailed(
            f"{target} cannot be written: {error.strerror}; name another folder with --into"
        ) from error
    golden = target / "tests" / "golden" / "test_its_graph_is_the_one_that_was_looked_at.json"
    golden.parent.mkdir(parents=True)
    golden.write_text(written(_rendered(plugin, target)), encoding="utf-8")
    return target


def _rendered(plugin: NewPlugin, target: Path) -> Graph:
    """The graph that the new command's first test looks at. Raises: ScaffoldFailed if the command cannot be made."""
    try:
        module = PluginFile(plugin.module, target / plugin.module / "__init__.py").load()
        (command,) = module.register_commands()
        line = _answers(plugin)["test_line"]
        graph = rendered_graph(command, line)
        if plugin.analysis.more_images:
            uploads = tuple(f"input-{number}.png" for number in range(1, 2 + len(plugin.analysis.more_images)))
            graph = module.build_workflow(Invocation(command.name, {}, uploads=uploads), graph)
    except VeilrunError as error:
        raise ScaffoldFailed(f"the package in {target} does not work yet: {error}") from error
    return graph


def _answers(plugin: NewPlugin) -> dict[str, Any]:
    found = plugin.analysis
    saver = str(found.graph[found.output]["class_type"])
    imports = {"Command", "GpuAffinity", "Workflow", "hookimpl"}
    imports |= {_KINDS[one.kind] for one in found.bindings} | ({"ModelFile"} if found.models else set())
    imports |= {"Graph", "Invocation"} if found.more_images else set()
    return {
        "name": plugin.name,
        "module": plugin.module,
        "command": plugin.command,
        "variable": plugin.variable,
        "summary": f"{plugin.command.replace('_', ' ').capitalize()} with ComfyUI",
        "example": plugin.example,
        "vram_gb": f"{plugin.vram_gb:g}",
        "imports": sorted(imports, key=lambda name: (name == "hookimpl", name)),
        "parameters": [_parameter(one, found) for one in found.bindings],
        "bind": [f'"{one.name}": {_places(one.places)},' for one in found.bindings],
        "output": json.dumps(found.output),
        "kind": found.kind,
        "models": [_model(model, plugin.links) for model in found.models],
        "missing_links": [model.name for model in found.models if model.name not in plugin.links],
        "more_images": list(found.more_images),
        "graph": graph_text(found.graph),
        "test_line": " ".join(part for part in (plugin.example, "--seed 7" if found.binding("seed") else "") if part),
        "pictures": 1 + len(found.more_images) if found.binding("image") else 0,
        "is_drawn": saver in DRAWN and (saver in RECIPES or saver == "PreviewImage"),
        "prompt_place": _first_place(found.graph, found.binding("prompt")),
        "doubts": list(found.doubts),
        "docstring": [doubt.replace("\\", "\\\\").replace('"', "'") for doubt in found.doubts],
    }


_KINDS = {
    "prompt": "Prompt",
    "text": "Text",
    "seed": "Seed",
    "size": "Size",
    "steps": "Integer",
    "cfg": "Float",
    "seconds": "Duration",
    "image": "ImageInput",
}


def _parameter(binding: Binding, found: Analysis) -> str:
    value = binding.current
    match binding.kind:
        case "prompt":
            return "Prompt(),"
        case "text":
            return f'Text("{binding.name}", "what you do not want to see"),'
        case "seed":
            return "Seed(),"
        case "image":
            count = 1 + len(found.more_images)
            return f"ImageInput(low={count}, high={count})," if count > 1 else "ImageInput(),"
        case "steps":
            return f'Integer("steps", "more is finer and slower", default={value}, low=1, high={max(50, value)}),'
        case "cfg":
            return (
                f'Float("{binding.name}", "how closely to follow the words", default={float(value)}, low=0.0,'
                f" high={max(20.0, float(value))}),"
            )
        case "size":
            return _size(*value)
        case _:
            return _seconds(value, found.fps or 16.0)


def _size(width: int, height: int) -> str:
    step = next(step for step in (16, 8, 4, 2, 1) if width % step == 0 and height % step == 0)
    low = min(256, width, height) // step * step
    high = -(-max(2048, width, height) // step) * step
    return f"Size(default=({width}, {height}), low={low}, high={high}, multiple_of={step}, max_pixels={high} * {high}),"


def _seconds(length: int, fps: float) -> str:
    step = next(step for step in (8, 4, 2, 1) if (length - 1) % step == 0)
    seconds = round((length - 1) / fps, 2)
    return (
        f"Duration(default={seconds}, low={min(0.5, seconds)}, high={max(5.0, seconds)}, fps={fps}, frame_step={step}),"
    )


def _places(places: Sequence[str]) -> str:
    return json.dumps(places[0]) if len(places) == 1 else json.dumps(list(places))


def _model(model: NamedModel, links: Mapping[str, str]) -> list[str]:
    link = links.get(model.name, UNKNOWN)
    folder = model.folder or "unknown"
    return [json.dumps(model.name), json.dumps(folder), "1.0", json.dumps(link), '"unknown"']


def _first_place(graph: Graph, binding: Binding | None) -> list[str]:
    return [json.dumps(part) for part in parts_of(graph, binding.places[0])] if binding else []


def graph_text(graph: Graph) -> str:
    """The graph as a person would lay it out: one line for each node's inputs where they are short."""
    nodes = [f"  {json.dumps(name)}: {_node(content)}" for name, content in graph.items()]
    return "{\n" + ",\n".join(nodes) + "\n}\n"


def _node(content: Mapping[str, Any]) -> str:
    inputs = json.dumps(content["inputs"], ensure_ascii=False)
    if len(inputs) > 100:
        lines = [
            f"      {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in content["inputs"].items()
        ]
        inputs = "{\n" + ",\n".join(lines) + "\n    }"
    return f'{{\n    "class_type": {json.dumps(content["class_type"])},\n    "inputs": {inputs}\n  }}'


def links_in(document: Any) -> Iterator[tuple[str, str]]:
    """(model file, where it is from), as a workflow of the editor says of its models, also inside its subgraphs."""
    if isinstance(document, dict):
        models = document.get("models")
        for model in models if isinstance(models, list) else ():
            if isinstance(model, dict) and isinstance(model.get("name"), str) and isinstance(model.get("url"), str):
                yield model["name"], model["url"]
        for value in document.values():
            yield from links_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from links_in(value)
