"""A command: what the user types, what runs for it, and where it may run."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from runtime.api.affinity import GpuAffinity, Limits
from runtime.api.errors import BadArgument, DeclarationError
from runtime.api.parameters import OPTION, ImageInput, Parameter, Text, Value, is_text
from runtime.api.workflow import Kind, Workflow

LATER = "in"
"""The option that every command has by itself: `--in 2h30m` starts its job so much later."""

_NAME = re.compile(r"[a-z0-9_]{1,32}")  # Bot API, BotCommand.command


@dataclass(frozen=True, slots=True)
class Variant:
    """Another workflow of the same command, chosen by `--name`: other weights, so another affinity.

    defaults: parameter name -> value that replaces the command's default.
    """

    name: str
    summary: str
    workflow: Workflow
    affinity: GpuAffinity
    defaults: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """One function of the runtime: `/name` and its aliases, typed parameters, a workflow, and the GPUs that fit.

    summary: one line, shown in the command menu (1 to 256 characters).
    example: what a user may type after the command; shown with every refusal.
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    workflow: Workflow
    affinity: GpuAffinity
    aliases: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    variants: tuple[Variant, ...] = ()
    example: str = ""

    def __post_init__(self) -> None:
        if is_text(self.aliases):
            raise DeclarationError(f"/{self.name}: aliases takes several names, like ({self.aliases!r},)")
        for name in (self.name, *self.aliases):
            if not _NAME.fullmatch(name):
                raise DeclarationError(f"command {name!r}: Telegram takes 1 to 32 of a-z, 0-9 and _")
        if not 1 <= len(self.summary) <= 256 or "\n" in self.summary:
            raise DeclarationError(f"/{self.name}: summary must be one line of 1 to 256 characters")
        self._check_parameters()
        for workflow in (self.workflow, *(variant.workflow for variant in self.variants)):
            self._check_bindings(workflow)
            if workflow.kind != self.workflow.kind:
                raise DeclarationError(f"/{self.name}: every variant must give the same kind of result")

    def _check_parameters(self) -> None:
        options = [option for parameter in self.parameters for option in parameter.options]
        options += [variant.name for variant in self.variants]
        names = [parameter.name for parameter in self.parameters]
        if LATER in options:
            raise DeclarationError(f"/{self.name}: every command has --{LATER} already; call yours something else")
        for taken in (options, names):
            twice = {name for name in taken if taken.count(name) > 1}
            if twice:
                raise DeclarationError(f"/{self.name}: {', '.join(sorted(twice))} is declared twice")
        if sum(isinstance(p, Text) and p.positional for p in self.parameters) > 1:
            raise DeclarationError(f"/{self.name}: only one parameter can take the words after the command")
        if sum(isinstance(p, ImageInput) for p in self.parameters) > 1:
            raise DeclarationError(f"/{self.name}: declare one ImageInput; its `high` says how many pictures it takes")
        for variant in self.variants:
            if not OPTION.fullmatch(variant.name):
                raise DeclarationError(f"/{self.name}: variant {variant.name!r}: lower case letters, digits and -")
            for name, value in variant.defaults.items():
                if name not in names:
                    raise DeclarationError(
                        f"/{self.name} --{variant.name}: default for {name!r}, which is no parameter"
                    )
                try:
                    self.parameter(name).check(list(value) if isinstance(value, tuple) else value)
                except BadArgument as error:
                    raise DeclarationError(f"/{self.name} --{variant.name}: default for {name}: {error}") from error

    def _check_bindings(self, workflow: Workflow) -> None:
        parameters = {parameter.name: parameter for parameter in self.parameters}
        unknown = set(workflow.bind) - set(parameters)
        if unknown:
            raise DeclarationError(f"/{self.name}: {workflow.source} binds {', '.join(sorted(unknown))}: no parameter")
        for name, alternatives in workflow.targets.items():
            initial = parameters[name].initial()
            count = 1 if initial is None else len(parameters[name].components(initial))
            for places in alternatives:
                if len(places) != count:
                    raise DeclarationError(
                        f"/{self.name}: {name} has {count} value{'s' if count > 1 else ''}, but {workflow.source} "
                        f"binds it to {len(places)} places at once (a comma separates the parts of one value, "
                        "a list the places that all receive it)"
                    )

    @property
    def kind(self) -> Kind:
        """What a result is."""
        return self.workflow.kind

    @property
    def image_input(self) -> ImageInput | None:
        """The parameter that takes pictures, if there is one."""
        return next((p for p in self.parameters if isinstance(p, ImageInput)), None)

    @property
    def written_example(self) -> str:
        """A line that works: `/f an astronaut --seed 7`."""
        shown = min((self.name, *self.aliases), key=len)
        return f"/{shown} {self.example}".strip()

    def variant(self, name: str | None) -> Variant | None:
        """The variant called `name`; None for the plain command. Raises: KeyError for an unknown name."""
        if name is None:
            return None
        return {variant.name: variant for variant in self.variants}[name]

    def workflow_of(self, variant: str | None) -> Workflow:
        """The workflow that `variant` runs. Raises: KeyError."""
        chosen = self.variant(variant)
        return chosen.workflow if chosen else self.workflow

    def affinity_of(self, variant: str | None) -> GpuAffinity:
        """The affinity of `variant`. Raises: KeyError."""
        chosen = self.variant(variant)
        return chosen.affinity if chosen else self.affinity

    def parameter(self, name: str) -> Parameter:
        """The parameter called `name`. Raises: KeyError."""
        return {parameter.name: parameter for parameter in self.parameters}[name]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the digests of all its workflows, hex: changes when what the command does changes."""
        parts = [self.workflow.digest, *(f"{v.name}:{v.workflow.digest}" for v in self.variants)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
