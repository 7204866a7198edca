"""The registry: which commands there are, who may use them, on which backends. Read once, then only looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import structlog

from runtime.api import BadArgument, Command, Graph, Invocation, Outcome, Value, Veto
from runtime.registry.errors import PluginFailed
from runtime.registry.plugins import LoadedPlugin, PluginState

log = structlog.get_logger("veilrun.registry")


@dataclass(frozen=True, slots=True)
class BackendConfig:
    """One ComfyUI server as the operator describes it. lookahead: prompts that wait beside the one that runs."""

    name: str
    url: str
    transport: Literal["direct", "anon"] = "direct"
    device: str = ""
    vram_gb: float = 0.0
    labels: frozenset[str] = frozenset()
    lookahead: int = 1


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
    """A command that can be used, with the registry's defaults, limits and affinity merged in."""

    command: Command
    plugin: str
    plugin_version: str
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Registry:
    """Everything the registry file and the plugins say."""

    path: Path
    backends: tuple[BackendConfig, ...] = ()
    access: Access = Access()
    commands: Mapping[str, LoadedCommand] = field(default_factory=dict)
    plugins: tuple[PluginState, ...] = ()
    loaded: tuple[LoadedPlugin, ...] = ()

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
        """The invocation as the plugins let it pass. Raises: Veto, PluginFailed."""
        for plugin in self.loaded:
            for amended in self._called(plugin, "before_invoke", invocation):
                if not isinstance(amended, Invocation):
                    raise PluginFailed(plugin.name, "before_invoke", "it must return None or an Invocation")
                invocation = self._checked(plugin, amended)
        return invocation

    def build_workflow(self, invocation: Invocation, graph: Graph) -> Graph:
        """The graph as the plugins want it. Raises: PluginFailed."""
        for plugin in self.loaded:
            for changed in self._called(plugin, "build_workflow", invocation, graph=graph):
                if not isinstance(changed, dict) or not changed:
                    raise PluginFailed(plugin.name, "build_workflow", "it must return None or a graph")
                graph = changed
        return graph

    def after_invoke(self, invocation: Invocation, outcome: Outcome) -> None:
        """Tell every plugin how it ended. A hook that fails is logged; it changes nothing."""
        for plugin in self.loaded:
            try:
                self._called(plugin, "after_invoke", invocation, outcome=outcome)
            except (PluginFailed, Veto) as error:
                log.warning("after_invoke failed", plugin=plugin.name, error=type(error.__cause__ or error).__name__)

    def _called(self, plugin: LoadedPlugin, hook: str, invocation: Invocation, **more: Any) -> list[Any]:
        try:
            answers: list[Any] = getattr(plugin.hook, hook)(
                invocation=replace(invocation, config=plugin.config), **more
            )
        except Veto:
            raise
        except Exception as error:  # whatever a third party's hook does
            raise PluginFailed(plugin.name, hook, type(error).__name__) from error
        return answers

    def _checked(self, plugin: LoadedPlugin, amended: Invocation) -> Invocation:
        loaded = self.commands.get(amended.command)
        if loaded is None:
            raise PluginFailed(plugin.name, "before_invoke", f"there is no command {amended.command!r}")
        values: dict[str, Value] = {}
        for name, value in amended.arguments.items():
            try:
                values[name] = loaded.command.parameter(name).check(value)
            except (BadArgument, KeyError, ValueError, TypeError) as error:
                raise PluginFailed(plugin.name, "before_invoke", f"it gave a wrong {name}") from error
        return replace(amended, arguments=values)
