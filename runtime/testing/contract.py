"""Everything that the registry, the dispatch and a backend would hold against a command, in one assertion."""

import re
from collections.abc import Collection, Iterator, Sequence

from runtime.api import Command, DeclarationError, ImageInput, Prompt, Text, VeilrunError
from runtime.comfyui.preflight import MODEL_SUFFIXES
from runtime.dispatch.arguments import parse_arguments
from runtime.registry import BUILT_IN
from runtime.testing.golden import rendered_graph

_OUTPUT = re.compile(r"save|preview|output", re.IGNORECASE)


class ContractBroken(AssertionError):
    """What is wrong with a command, one line each with what to do about it."""


def assert_command_contract(*commands: Command, hooked: Collection[str] = ()) -> None:
    """Check that each command would be accepted, understood and run. Raises: ContractBroken with all that is wrong.

    Checked are: names against those that veilrun keeps and against each other; that its example is understood; that it
    renders a graph with its defaults, and so does every variant; that every parameter goes somewhere; that the output
    node saves something, and that every model file of the graph is declared with folder, size, link and licence.

    hooked: parameters that no workflow binds since the plugin's `build_workflow` hook uses them.
    """
    __tracebackhide__ = True
    problems = list(_offered(commands))
    for command in commands:
        problems += [f"/{command.name}: {problem}" for problem in (*_problems(command), *_unbound(command, hooked))]
    if problems:
        raise ContractBroken("\n".join(problems))


def _offered(commands: Sequence[Command]) -> Iterator[str]:
    if not commands:
        yield "no command was given; pass what register_commands returns"
    taken = dict.fromkeys(BUILT_IN, "veilrun itself")
    for command in commands:
        for name in dict.fromkeys((command.name, *command.aliases)):
            if name in taken:
                yield f"/{command.name}: /{name} belongs to {taken[name]}; choose another name or alias"
            taken[name] = f"/{command.name}"


def _problems(command: Command) -> Iterator[str]:
    if len(set(command.aliases)) != len(command.aliases) or command.name in command.aliases:
        yield "an alias is there twice; keep one of each"
    if _wants_words(command) and not command.example:
        yield "it has no example; write what a user may type after the command, it is shown with every refusal"
    line = _line(command)
    try:
        parse_arguments(command, command.example or line)
    except VeilrunError as error:
        yield f"its example is not understood: {error}"
    for variant in (None, *(variant.name for variant in command.variants)):
        yield from _runs(command, variant, line)


def _runs(command: Command, variant: str | None, line: str) -> Iterator[str]:
    where = f" --{variant}" if variant else ""
    workflow = command.workflow_of(variant)
    try:
        rendered_graph(command, f"{line}{where}")
    except (VeilrunError, DeclarationError) as error:
        yield f"{where.strip() or 'its defaults'}: it renders no graph: {error}"
    saver = str(workflow.graph[workflow.output]["class_type"])
    linked = {
        value[0] for node in workflow.graph.values() for value in node["inputs"].values() if isinstance(value, list)
    }
    if workflow.output in linked and not _OUTPUT.search(saver):
        yield (
            f"{workflow.source}: the output node {workflow.output!r} ({saver}) saves nothing; name the node that writes"
            f" the {workflow.kind}, such as a Save{workflow.kind.capitalize()}"
        )
    declared = {model.name for model in workflow.models}
    for node, key, file in _model_files(workflow.graph):
        if file not in declared:
            yield (
                f"{workflow.source}: {node}.{key} names {file}, which `models` does not; add ModelFile({file!r},"
                f" folder, size_gb, link, licence), so that operators are told where to get it"
            )
    for model in workflow.models:
        for what, value in (("folder", model.folder), ("link", model.link), ("licence", model.licence)):
            if not value:
                yield f"{workflow.source}: the model file {model.name} has no {what}; operators need it"
        if model.size_gb <= 0:
            yield f"{workflow.source}: the model file {model.name} has no size; write its size in GiB"
    affinity = command.affinity_of(variant)
    largest = max((model.size_gb for model in workflow.models), default=0.0)
    if affinity.vram_gb < largest / 2:
        yield (
            f"{workflow.source}: vram_gb={affinity.vram_gb:g} is less than half of the largest model file"
            f" ({largest:g} GiB); name what a card needs to run it"
        )


def _unbound(command: Command, hooked: Collection[str]) -> Iterator[str]:
    workflows = [command.workflow, *(variant.workflow for variant in command.variants)]
    for parameter in command.parameters:
        if parameter.name in hooked or (isinstance(parameter, ImageInput) and parameter.high > 1):
            continue
        if not any(parameter.name in workflow.bind for workflow in workflows):
            name = parameter.name
            yield f"no workflow binds {name}; add it to bind, or say hooked=[{name!r}] if a hook uses it"


def _model_files(graph: dict[str, dict[str, object]]) -> Iterator[tuple[str, str, str]]:
    for node, content in graph.items():
        inputs = content["inputs"]
        assert isinstance(inputs, dict)
        for key, value in inputs.items():
            if isinstance(value, str) and value.endswith(MODEL_SUFFIXES):
                yield node, key, value


def _wants_words(command: Command) -> bool:
    return any(isinstance(one, Prompt) or (isinstance(one, Text) and one.positional) for one in command.parameters)


def _line(command: Command) -> str:
    """Words that every command with its defaults should understand."""
    return "an astronaut on a beach" if _wants_words(command) else ""
