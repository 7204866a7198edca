"""Finds and loads plugins. Each is loaded behind a guard of its own: a broken one is reported, the others go on."""

import importlib.metadata
import inspect
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pluggy
import structlog
from packaging.utils import canonicalize_name

from runtime.api import API_VERSION, NAMESPACE, Command, hooks
from runtime.registry.errors import PluginUnusable
from runtime.registry.single import PluginFile, plugin_files
from runtime.registry.tracing import trace_hooks

GROUP = "veilrun.plugins"
Point: TypeAlias = importlib.metadata.EntryPoint | PluginFile
Installed: TypeAlias = Mapping[str, tuple[Point, ...]]
"""Plugin name -> every entry point of that name, each of another distribution, and the file of that name."""

OLDEST_API = 1

log = structlog.get_logger("veilrun.registry")

_imported: dict[str, str] = {}
"""Module of a plugin -> version of the package whose code this process has of it. pip may have put another one in its
place since; what was imported stays until the process ends.
"""


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


def installed_plugins(folder: Path | None = None) -> Installed:
    """Entry points of the group `veilrun.plugins` and the single-file plugins of `folder`, by name.

    A distribution whose metadata cannot be read offers nothing; of two on sys.path, the first hides the other.
    """
    found: dict[str, tuple[Point, ...]] = {}
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        try:
            name = canonicalize_name(distribution.name)
            points = tuple(distribution.entry_points.select(group=GROUP))
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:  # whatever importlib trips over
            log.warning("metadata of a distribution cannot be read", error=type(error).__name__)
            continue
        for point in points if name not in seen else ():
            found[point.name] = (*found.get(point.name, ()), point)
        seen.add(name)
    for stem, file in plugin_files(folder).items():
        found[stem] = (*found.get(stem, ()), file)
    return found


def origin(point: Point) -> tuple[str, str]:
    """(version, distribution or file) that a plugin comes from."""
    if isinstance(point, PluginFile):
        return point.version, str(point.path)
    return (point.dist.version, point.dist.name) if point.dist else ("", point.value)


def load_plugin(
    name: str, package: str | None, config: Mapping[str, Any], installed: Installed, *, trace: bool = False
) -> LoadedPlugin:
    """Load the plugin; with `trace`, every call of its hooks is logged.

    Raises: PluginUnusable with the reason; its cause is what the plugin raised, if it did."""
    point = _entry_point(name, package, installed)
    with _guarded(f"importing {point.value}"):
        module = point.load()
        wanted = getattr(module, "VEILRUN_API", API_VERSION)
    _check_api(wanted)
    manager = pluggy.PluginManager(NAMESPACE)
    manager.add_hookspecs(hooks)
    with _guarded(f"looking for hooks in {point.value}"):
        try:
            manager.register(module, name)
            manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginUnusable(f"a hook does not fit: {str(error).splitlines()[-1].strip()}") from error
    _check_hooks(manager, point.value)
    if trace:
        trace_hooks(manager, name)
    version, source = origin(point)
    if not isinstance(point, PluginFile):
        version = _imported.setdefault(point.value, version)
    return LoadedPlugin(name, version, source, manager.hook, _commands(manager, config), config)


def failure(error: PluginUnusable) -> str | None:
    """The traceback of what the plugin raised, if it did."""
    return "".join(traceback.format_exception(error.__cause__)) if error.__cause__ else None


@contextmanager
def _guarded(action: str) -> Iterator[None]:
    """Whatever a third party's code raises, short of the operator's Ctrl-C, is PluginUnusable."""
    try:
        yield
    except (PluginUnusable, KeyboardInterrupt):
        raise
    except BaseException as error:  # a panic in a compiled module is no Exception either
        raise PluginUnusable(f"{action} failed: {_described(error)}") from error


def _entry_point(name: str, package: str | None, installed: Installed) -> Point:
    points = installed.get(name, ())
    if package is not None:
        points = tuple(p for p in points if canonicalize_name(origin(p)[1]) == canonicalize_name(package))
    if len(points) > 1:
        rivals = " and ".join(origin(point)[1] for point in points)
        raise PluginUnusable(f"{rivals} each offer a plugin {name!r}; say which one with `package:`")
    if points:
        return points[0]
    raise PluginUnusable(no_plugin(name, sorted(installed), package))


def no_plugin(name: str, known: Sequence[str], package: str | None = None) -> str:
    """What to say of a plugin that is not installed."""
    cure = f"pip install {package}" if package else "install its package, or correct the name"
    return f"no plugin {name!r} is installed here (there are: {', '.join(known) or 'none'}); {cure}"


def _check_api(wanted: object) -> None:
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
    with _guarded("register_commands"):
        answers: list[object] = caller(config=config)
        offered = [item for answer in answers for item in (answer if isinstance(answer, Iterable) else (answer,))]
    if len(answers) < len(caller.get_hookimpls()):  # pluggy leaves out None
        raise PluginUnusable("register_commands returned None, not a list of commands")
    commands = tuple(command for command in offered if isinstance(command, Command))
    for other in offered:
        if not isinstance(other, Command):
            raise PluginUnusable(f"register_commands returned a {type(other).__name__}, not a Command")
    return commands


def _described(error: BaseException) -> str:
    try:
        text = next(iter(str(error).splitlines()), "")
    except Exception:  # noqa: BLE001 - its own __str__ may be as broken as the rest
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
