"""The registry: which commands there are, who may use them, on which backends. Read once, then only looked at."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import structlog

from runtime.api import BadArgument, Command, DeclarationError, Graph, Invocation, Outcome, Text, Value, Veto
from runtime.api.workflow import check_graph
from runtime.registry.errors import PluginFailed, Problem
from runtime.registry.plugins import LoadedPlugin, PluginState

log = structlog.get_logger("veilrun.registry")

Traces: TypeAlias = Literal["none", "temp", "keep"]


@dataclass(frozen=True, slots=True)
class Override:
    """The node class that stands in for another on one backend, and inputs that it gets as well."""

    class_type: str
    inputs: Mapping[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Bounds of the whole deployment; None = no bound.

    queued, queued_per_user: jobs that wait, of all and of one user. running_per_user: jobs of one user on backends.
    """

    queued: int | None = None
    queued_per_user: int | None = None
    running_per_user: int | None = None


@dataclass(frozen=True, slots=True)
class BackendConfig:
    """One ComfyUI server as the operator describes it.

    lookahead: prompts that wait beside the one that runs. client_key_file: our private key for a hidden service, None
    if it is open to everyone. isolation: what shares circuits, all of us or each user alone. traces: what a job may
    leave on the backend's disk and in its history, see `runtime.worker.traces`.
    pin: commands (`flux`, `flux --dev`) whose weights stay loaded there: no other weights are; empty = any command.
    limits: command -> most jobs of it there at a time. idle_minutes: after so long without a job its weights are let
    go, None = never. overrides: node class -> what stands in for it there.
    """

    name: str
    url: str
    transport: Literal["direct", "anon"] = "direct"
    device: str = ""
    vram_gb: float = 0.0
    labels: frozenset[str] = frozenset()
    lookahead: int = 1
    client_key_file: Path | None = None
    isolation: Literal["backend", "user"] = "backend"
    traces: Traces = "temp"
    pin: tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    idle_minutes: float | None = None
    overrides: Mapping[str, Override] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use the bot: nobody who is not named, unless `default` is "public"."""

    default: Literal["deny", "public"] = "deny"
    allow_users: frozenset[int] = frozenset()
    allow_chats: frozenset[int] = frozenset()
    admins: frozenset[int] = frozenset()

    def allows(self, user_id: int | None, chat_id: int | None) -> bool:
        """Whether this user may use the bot in this chat."""
        return (
            self.default == "public"
            or user_id in self.allow_users
            or user_id in self.admins
            or chat_id in self.allow_chats
        )

    def is_admin(self, user_id: int | None) -> bool:
        """Whether this user is an operator."""
        return user_id in self.admins


@dataclass(frozen=True, slots=True)
class LoadedCommand:
    """A command that can be used, with the registry's defaults, limits and affinity merged in.

    priority: of its jobs among those whose turn it is, higher first.
    """

    command: Command
    plugin: str
    plugin_version: str
    config: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0


@dataclass(frozen=True)
class Registry:
    """Everything the registry file and the plugins say. warnings: what is allowed in the file but hardly meant."""

    path: Path
    backends: tuple[BackendConfig, ...] = ()
    access: Access = Access()
    limits: QueueLimits = QueueLimits()
    commands: Mapping[str, LoadedCommand] = field(default_factory=dict)
    plugins: tuple[PluginState, ...] = ()
    loaded: tuple[LoadedPlugin, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def resolve(self, word: str) -> LoadedCommand | None:
        """The command of this name or alias, written in any case; None if there is none."""
        word = word.casefold()
        for name, loaded in self.commands.items():
            if word == name or word in loaded.command.aliases:
                return loaded
        return None

    def backend(self, name: str) -> BackendConfig | None:
        """The backend of this name, or None if the registry has none."""
        return next((backend for backend in self.backends if backend.name == name), None)

    def before_invoke(self, invocation: Invocation) -> Invocation:
        """The invocation as the plugins let it pass: its arguments and variant may be others, and are checked again.

        Raises: Veto, PluginFailed.
        """
        for plugin in self.loaded:
            for amended in self._called(plugin, "before_invoke", invocation):
                if not isinstance(amended, Invocation):
                    raise PluginFailed(plugin.name, "before_invoke", "it must return None or an Invocation")
                invocation = self._amended(plugin, invocation, amended)
        return invocation

    def build_workflow(self, invocation: Invocation, graph: Graph) -> Graph:
        """The graph as the plugins want it; `graph` itself stays as it is. Raises: PluginFailed."""
        loaded = self.commands.get(invocation.command)
        for plugin in self.loaded:
            for changed in self._called(plugin, "build_workflow", invocation, graph=copy.deepcopy(graph)):
                try:
                    check_graph(changed, "its graph")
                except DeclarationError as error:
                    raise PluginFailed(plugin.name, "build_workflow", str(error)) from error
                if loaded and (output := loaded.command.workflow_of(invocation.variant).output) not in changed:
                    raise PluginFailed(plugin.name, "build_workflow", f"its graph has lost the output node {output!r}")
                graph = changed
        return graph

    def after_invoke(self, invocation: Invocation, outcome: Outcome) -> None:
        """Tell every plugin how it ended. A hook that fails is logged; it changes nothing."""
        for plugin in self.loaded:
            try:
                self._called(plugin, "after_invoke", invocation, outcome=outcome)
            except PluginFailed as error:  # the class only: its text may hold the user's words
                log.warning("after_invoke failed", plugin=plugin.name, error=type(error.__cause__ or error).__name__)

    def _called(self, plugin: LoadedPlugin, hook: str, invocation: Invocation, **more: Any) -> list[Any]:
        seen = replace(invocation, arguments=copy.deepcopy(dict(invocation.arguments)), config=plugin.config)
        try:
            answers: list[Any] = getattr(plugin.hook, hook)(invocation=seen, **more)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a third party's hook does
            if isinstance(error, Veto) and hook == "before_invoke":
                raise
            raise PluginFailed(plugin.name, hook, type(error).__name__) from error
        return answers

    def _amended(self, plugin: LoadedPlugin, invocation: Invocation, amended: Invocation) -> Invocation:
        """`invocation` with the arguments and the variant of `amended`: nothing else is a hook's to change."""

        def refused(reason: str) -> PluginFailed:
            return PluginFailed(plugin.name, "before_invoke", reason)

        command = self.commands[invocation.command].command
        if amended.command != invocation.command:
            raise refused("it may not change the command")
        if amended.variant is not None and amended.variant not in {variant.name for variant in command.variants}:
            raise refused(f"/{command.name} has no variant {amended.variant!r}")
        if not isinstance(amended.arguments, Mapping):
            raise refused("arguments must be a mapping")
        values: dict[str, Value] = {}
        for name, value in amended.arguments.items():
            try:
                values[name] = command.parameter(name).check(value)
            except (BadArgument, KeyError, ValueError, TypeError) as error:
                raise refused(f"it gave a wrong {name}") from error
        for parameter in command.parameters:
            is_needed = parameter.initial() is not None or (isinstance(parameter, Text) and parameter.positional)
            if is_needed and parameter.name in invocation.arguments and parameter.name not in values:
                raise refused(f"it took {parameter.name} away")
        return replace(invocation, arguments=values, variant=amended.variant)
