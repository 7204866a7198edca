"""Finds and loads plugins. Each is loaded behind a guard of its own: a broken one is reported, the others go on."""

import importlib.metadata
import inspect
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pluggy
from packaging.utils import canonicalize_name

from runtime.api import API_VERSION, NAMESPACE, Command, hooks
from runtime.registry.errors import PluginUnusable

GROUP = "veilrun.plugins"
OLDEST_API = 1


@dataclass(frozen=True, slots=True)
class PluginState:
    """What became of one plugin, installed or named in the registry. error: why it is not active, one line."""

    name: str
    enabled: bool
    version: str = ""
    source: str = ""
    commands: tuple[str, ...] = ()
    error: str | None = None
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A plugin that works: its hooks, its config, the commands it offers."""

    name: str
    version: str
    source: str
    hook: pluggy.HookRelay
    commands: tuple[Command, ...]
    config: Mapping[str, Any]


def installed_plugins() -> dict[str, importlib.metadata.EntryPoint]:
    """Entry points of the group `veilrun.plugins`, by name."""
    return {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}


def origin(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """(version, distribution) that an entry point comes from."""
    return (point.dist.version, point.dist.name) if point.dist else ("", point.value)


def load_plugin(name: str, package: str | None, config: Mapping[str, Any]) -> LoadedPlugin:
    """Load the plugin. Raises: PluginUnusable with the reason; its cause is what the plugin raised, if it did."""
    point = _entry_point(name, package)
    try:
        module = point.load()
    except (Exception, SystemExit) as error:  # whatever a third party's module does at import
        raise PluginUnusable(f"importing {point.value} failed: {_described(error)}") from error
    _check_api(module)
    manager = pluggy.PluginManager(NAMESPACE)
    manager.add_hookspecs(hooks)
    try:
        manager.register(module, name)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginUnusable(f"a hook does not fit: {str(error).splitlines()[-1].strip()}") from error
    _check_hooks(manager, point.value)
    version, source = origin(point)
    return LoadedPlugin(name, version, source, manager.hook, _commands(manager, config), config)


def failure(error: PluginUnusable) -> str | None:
    """The traceback of what the plugin raised, if it did."""
    return "".join(traceback.format_exception(error.__cause__)) if error.__cause__ else None


def _entry_point(name: str, package: str | None) -> importlib.metadata.EntryPoint:
    points = [point for point in importlib.metadata.entry_points(group=GROUP) if point.name == name]
    if package is not None:
        points = [p for p in points if p.dist and canonicalize_name(p.dist.name) == canonicalize_name(package)]
    if points:
        return points[0]
    known = ", ".join(sorted(installed_plugins())) or "none"
    cure = f"pip install {package}" if package else "install its package, or correct the name"
    raise PluginUnusable(f"no plugin {name!r} is installed here (there are: {known}); {cure}")


def _check_api(module: object) -> None:
    wanted = getattr(module, "VEILRUN_API", API_VERSION)
    if not isinstance(wanted, int) or isinstance(wanted, bool):
        raise PluginUnusable(f"its VEILRUN_API is {wanted!r}; it must be a whole number, like {API_VERSION}")
    if not OLDEST_API <= wanted <= API_VERSION:
        cure = "upgrade veilrun" if wanted > API_VERSION else "upgrade the plugin"
        offered = str(API_VERSION) if OLDEST_API == API_VERSION else f"{OLDEST_API} to {API_VERSION}"
        raise PluginUnusable(f"it was written for plugin API {wanted}, this veilrun has {offered}: {cure}")


def _check_hooks(manager: pluggy.PluginManager, source: str) -> None:
    hooks_of_plugin = [caller for plugin in manager.get_plugins() for caller in manager.get_hookcallers(plugin) or ()]
    if not hooks_of_plugin:
        raise PluginUnusable(f"{source} has no hook; mark register_commands with @hookimpl")
    for caller in hooks_of_plugin:
        if any(inspect.iscoroutinefunction(implementation.function) for implementation in caller.get_hookimpls()):
            raise PluginUnusable(f"{caller.name} is `async def`; hooks are plain functions")


def _commands(manager: pluggy.PluginManager, config: Mapping[str, Any]) -> tuple[Command, ...]:
    caller = manager.hook.register_commands
    try:
        answers: list[object] = caller(config=config)
        offered = [item for answer in answers for item in (answer if isinstance(answer, Iterable) else (answer,))]
    except (Exception, SystemExit) as error:  # whatever a third party's hook does
        raise PluginUnusable(f"register_commands failed: {_described(error)}") from error
    if len(answers) < len(caller.get_hookimpls()):  # pluggy leaves out None
        raise PluginUnusable("register_commands returned None, not a list of commands")
    commands = tuple(command for command in offered if isinstance(command, Command))
    for other in offered:
        if not isinstance(other, Command):
            raise PluginUnusable(f"register_commands returned a {type(other).__name__}, not a Command")
    return commands


def _described(error: BaseException) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
