"""What is to be measured: commands with their variants and options, written as in the chat."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runtime.api import Command, Seed, Text, Value
from runtime.bench.errors import NothingToMeasure
from runtime.bench.picture import input_picture
from runtime.dispatch.arguments import BadArguments, parse_arguments
from runtime.registry import BackendConfig, LoadedCommand, Registry
from runtime.scheduler.view import command_key

PROMPT = "a lighthouse on a cliff at dusk"
"""For commands whose author gives no example."""


@dataclass(frozen=True, slots=True)
class Case:
    """One template with its arguments."""

    loaded: LoadedCommand
    variant: str | None
    arguments: Mapping[str, Value]
    is_plain: bool = True
    """Whether nothing was chosen but the command and its variant."""

    @property
    def command(self) -> Command:
        return self.loaded.command

    @property
    def template(self) -> str:
        """How it is called in tables: `flux --dev`, and what was chosen beside that."""
        name = command_key(self.command.name, self.variant)
        return name if self.is_plain else " ".join([name, *self._chosen()])

    @property
    def options(self) -> dict[str, Value]:
        """What is asked for, without the words of the prompt and the seed."""
        return {
            parameter.name: self.arguments[parameter.name]
            for parameter in self.command.parameters
            if parameter.name in self.arguments and not isinstance(parameter, Text | Seed)
        }

    def _chosen(self) -> Iterator[str]:
        plain = _parsed(self.command, f"--{self.variant}" if self.variant else "")[1]
        for parameter in self.command.parameters:
            value = self.arguments.get(parameter.name)
            if value is not None and value != plain.get(parameter.name) and not isinstance(parameter, Text | Seed):
                yield f"--{parameter.name} {parameter.written(value)}"

    def fresh(self) -> dict[str, Value]:
        """The arguments with a new seed."""
        fresh = dict(self.arguments)
        for parameter in self.command.parameters:
            if isinstance(parameter, Seed):
                fresh[parameter.name] = parameter.initial()
        return fresh

    def pictures(self) -> list[bytes]:
        """As many input pictures as the command needs."""
        wanted = self.command.image_input
        return [input_picture(number) for number in range(wanted.low if wanted else 0)]

    def unfit(self, config: BackendConfig) -> str | None:
        """Why the backend is too small for it, as far as the registry tells."""
        needed = self.command.affinity_of(self.variant).vram_gb
        if config.vram_gb and config.vram_gb < needed:
            return f"it needs {needed:g} GB, and the registry says {config.vram_gb:g} GB"
        return None


def cases_of(registry: Registry, lines: Sequence[str] = ()) -> list[Case]:
    """The cases that `lines` name ("flux", "flux --dev", "flux a cat --size 512x512"), or every enabled one.

    Where a line has no prompt, the command's example has. Raises: NothingToMeasure, BadArguments.
    """
    if not lines:
        cases = [
            Case(loaded, variant, _parsed(loaded.command, f"--{variant}" if variant else "")[1])
            for loaded in registry.commands.values()
            for variant in (None, *(variant.name for variant in loaded.command.variants))
        ]
        if not cases:
            raise NothingToMeasure("no command is enabled; enable a plugin with `veilrun plugins enable NAME`")
        return cases
    return [_case(registry, line) for line in lines]


def _case(registry: Registry, line: str) -> Case:
    word, _, rest = line.strip().lstrip("/").partition(" ")
    loaded = registry.resolve(word)
    if loaded is None:
        known = ", ".join(sorted(registry.commands)) or "none"
        raise NothingToMeasure(f"there is no command {word!r}; enabled are: {known}")
    variant, arguments = _parsed(loaded.command, rest)
    plain = _parsed(loaded.command, f"--{variant}" if variant else "")[1]
    chosen = {p.name for p in loaded.command.parameters if not isinstance(p, Text | Seed)}
    is_plain = all(arguments.get(name) == plain.get(name) for name in chosen)
    return Case(loaded, variant, arguments, is_plain)


def _parsed(command: Command, rest: str) -> tuple[str | None, dict[str, Value]]:
    try:
        parsed = parse_arguments(command, rest)
    except BadArguments:
        parsed = parse_arguments(command, f"{_prompt_of(command)} {rest}")
    return parsed.variant, dict(parsed.values)


def _prompt_of(command: Command) -> str:
    """The prompt of the author's example."""
    name = next((p.name for p in command.parameters if isinstance(p, Text) and p.positional), None)
    if name is None:
        return ""
    try:
        return str(parse_arguments(command, command.example).values[name])
    except (BadArguments, KeyError):
        return PROMPT
