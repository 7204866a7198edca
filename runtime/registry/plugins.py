"""Finds and loads plugins. Each is loaded behind a guard of its own: a broken one is reported, the others go on."""

import importlib.metadata
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
    if not isinstance(wanted, int) or not OLDEST_API <= wanted <= API_VERSION:
        cure = "upgrade veilrun" if isinstance(wanted, int) and wanted > API_VERSION else "upgrade the plugin"
        raise PluginUnusable(
            f"it was written for plugin API {wanted!r}, this veilrun has {OLDEST_API} to {API_VERSION}: {cure}"
        )


def _commands(manager: pluggy.PluginManager, config: Mapping[str, Any]) -> tuple[Command, ...]:
    try:
        answers: list[Iterable[Command]] = manager.hook.register_commands(config=config)
        commands = tuple(command for answer in answers for command in answer)
    except (Exception, SystemExit) as error:  # whatever a third party's hook does
        raise PluginUnusable(f"register_commands failed: {_described(error)}") from error
    for command in commands:
        if not isinstance(command, Command):
            raise PluginUnusable(f"register_commands returned a {type(command).__name__}, not a Command")
    return commands


def _described(error: BaseException) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
