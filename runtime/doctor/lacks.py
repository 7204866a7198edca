"""What a backend lacks for the commands that may be placed there: node classes, model files, fitting overrides."""

from collections.abc import Iterator
from dataclasses import dataclass

from runtime.api import Workflow
from runtime.comfyui import Catalogue, GraphProblem, check_graph
from runtime.comfyui.packs import pack_of
from runtime.registry import BackendConfig, Registry
from runtime.scheduler.breakers import LACKS, fitting_backends
from runtime.scheduler.overrides import broken_by, with_overrides
from runtime.scheduler.view import command_key


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that is missing, and how to get it."""

    text: str
    cure: str


def command_keys(registry: Registry) -> Iterator[tuple[str, str, str | None]]:
    """(key, command, variant) of everything that can be placed."""
    for name, loaded in registry.commands.items():
        for variant in (None, *(variant.name for variant in loaded.command.variants)):
            yield command_key(name, variant), name, variant


def lacks_of(registry: Registry, config: BackendConfig, catalogue: Catalogue) -> dict[Lack, tuple[str, ...]]:
    """Lack -> the commands that it keeps from running there, of those whose card and labels fit."""
    found: dict[Lack, tuple[str, ...]] = {}
    for key, name, variant in command_keys(registry):
        if config.name in fitting_backends(registry, name, variant):
            workflow = registry.commands[name].command.workflow_of(variant)
            for lack in dict.fromkeys(_lacks(workflow, config, catalogue)):
                found[lack] = (*found.get(lack, ()), key)
    return found


def _lacks(workflow: Workflow, config: BackendConfig, catalogue: Catalogue) -> Iterator[Lack]:
    for text in broken_by(workflow, catalogue, config.overrides):
        yield Lack(text, "install it there, or correct `overrides` in the registry file")
    told = {override.class_type for override in config.overrides.values()}
    for problem in check_graph(with_overrides(workflow.graph, config.overrides), catalogue, workflow.models):
        if problem.kind not in LACKS or (problem.kind == "unknown_class" and problem.class_type in told):
            continue
        yield _class_lack(problem) if problem.kind == "unknown_class" else _file_lack(problem)


def _file_lack(problem: GraphProblem) -> Lack:
    """Its message ends with where to put the file, how large it is, where it is from, and under which licence."""
    _, _, place = problem.message.partition(" is missing: ")
    return Lack(f"model file {problem.received} is missing", place)


def _class_lack(problem: GraphProblem) -> Lack:
    text = f"node class {problem.class_type} is missing"
    pack = pack_of(problem.class_type)
    if pack is not None:
        return Lack(text, f"install {pack.name} there: clone {pack.link} into ComfyUI/custom_nodes, restart ComfyUI")
    _, _, near = problem.message.partition("; did you mean ")
    also = f" (it has {near.rstrip('?')})" if near else ""
    return Lack(text, f"update ComfyUI there, or install the custom nodes that bring it{also}")
