"""From the file to the registry: plugins loaded, the operator's wishes merged into their commands."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path

from packaging.version import InvalidVersion, Version

from runtime.api import BadArgument, Command, GpuAffinity, Limits, Parameter, Seed, Value
from runtime.registry.document import Document, Place, read_document
from runtime.registry.errors import PluginUnusable, Problem, RegistryInvalid
from runtime.registry.plugins import (
    Installed,
    LoadedPlugin,
    PluginState,
    failure,
    installed_plugins,
    load_plugin,
    origin,
)
from runtime.registry.registry import Access, BackendConfig, LoadedCommand, Override, QueueLimits, Registry
from runtime.registry.schema import AffinitySection, LimitsSection, PluginSection
from runtime.registry.single import plugin_files
from runtime.settings import Settings

BUILT_IN = ("start", "help", "cancel", "status", "privacy", "forget", "settings")
"""Command names that veilrun keeps for itself."""


def load_registry(
    path: Path, *, text: str | None = None, strict: bool = False, folder: Path | None = None, trace: bool = False
) -> Registry:
    """Read the registry file and load the plugins it enables.

    text: what the file is to say, in the place of what it says. folder: of single-file plugins, which are enabled
    unless the file says otherwise. trace: log every call of a hook. A broken plugin is left out and reported in
    `Registry.plugins`; with `strict` it is an error.
    Raises: RegistryInvalid; PluginUnusable if `strict`.
    """
    document = read_document(path, text)
    installed = installed_plugins(folder)
    sections = {**dict.fromkeys(plugin_files(folder), PluginSection()), **document.content.plugins}
    commands: dict[str, LoadedCommand] = {}
    owners: dict[str, str] = dict.fromkeys(BUILT_IN, "veilrun itself")
    loaded: list[LoadedPlugin] = []
    states: list[PluginState] = []
    problems: list[Problem] = []
    for name, section in sections.items():
        if not section.enabled:
            states.append(_not_enabled(name, installed))
            continue
        try:
            plugin = load_plugin(name, section.package, section.config, installed, trace=trace)
            _check_pin(plugin, section.pin)
            _check_names(plugin, owners)
        except PluginUnusable as error:
            if strict:
                raise
            faulty = replace(_not_enabled(name, installed), enabled=True, error=str(error), traceback=failure(error))
            states.append(faulty)
            continue
        problems += _unknown_defaults(document, plugin, section)
        for command in plugin.commands:
            merged, found = _merged(document, plugin, command, section)
            problems += found
            commands[command.name] = LoadedCommand(merged, name, plugin.version, section.config, section.priority)
            owners |= dict.fromkeys((command.name, *command.aliases), name)
        loaded.append(plugin)
        names = tuple(command.name for command in plugin.commands)
        states.append(PluginState(name, True, plugin.version, plugin.source, names))
    if problems:
        raise RegistryInvalid(tuple(problems))
    return Registry(
        path=path,
        backends=_backends(document, path),
        access=_access(document),
        limits=QueueLimits(**document.content.limits.model_dump()),
        commands=commands,
        plugins=(*states, *(_not_enabled(name, installed) for name in _not_named(states, installed))),
        loaded=tuple(loaded),
        warnings=tuple(
            sorted(
                (*_doubts(document, installed), *_doubts_of_backends(document, commands)),
                key=lambda problem: (problem.line, problem.column),
            )
        ),
    )


def configured_registry(settings: Settings) -> Registry:
    """The registry as the settings say. Raises: as `load_registry`."""
    return load_registry(
        settings.registry, strict=settings.strict, folder=settings.plugins_dir, trace=settings.trace_hooks
    )


def _check_pin(plugin: LoadedPlugin, pin: str | None) -> None:
    """A plugin that is held at one version runs in no other."""
    if pin is not None and not _is_same_version(plugin.version, pin):
        raise PluginUnusable(
            f"it is held at {pin}, but {plugin.version or 'no version'} is here;"
            f" pip install '{plugin.source}=={pin}' and start again, or change its pin"
        )


def _is_same_version(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def _check_names(plugin: LoadedPlugin, owners: dict[str, str]) -> None:
    taken = dict(owners)
    for command in plugin.commands:
        for name in (command.name, *command.aliases):
            if name in taken:
                raise PluginUnusable(f"/{name} belongs to {taken[name]} already; {plugin.name} cannot offer it as well")
            taken[name] = plugin.name


def _not_enabled(name: str, installed: Installed) -> PluginState:
    points = installed.get(name, ())
    return PluginState(name, False, *origin(points[0])) if len(points) == 1 else PluginState(name, False)


def _not_named(states: list[PluginState], installed: Installed) -> list[str]:
    """Installed plugins that the file does not mention."""
    return sorted(installed.keys() - {state.name for state in states})


def _doubts(document: Document, installed: Installed) -> Iterator[Problem]:
    """What is allowed, and most likely not meant."""
    content = document.content
    access = content.access
    if access.default == "deny" and not (access.allow_users or access.allow_chats or access.admins):
        yield document.problem(
            ("access",), "nobody may use the bot", "write your user id into allow_users, or default: public"
        )
    if not content.backends:
        yield document.problem(("backends",), "there is no backend, so no command can run", "add your ComfyUI server")
    known = [backend.name for backend in content.backends] + [b.device for b in content.backends if b.device]
    for name, section in content.plugins.items():
        if section.enabled and section.package is None and name not in installed:
            yield document.problem(
                ("plugins", name), f"no plugin {name!r} is installed here", _meant(name, sorted(installed))
            )
        for index, preferred in enumerate(section.affinity.prefer or ()):
            if preferred not in known:
                yield document.problem(
                    ("plugins", name, "affinity", "prefer", index),
                    f"no backend or device is called {preferred!r}",
                    _meant(preferred, known),
                )


def _doubts_of_backends(document: Document, commands: Mapping[str, LoadedCommand]) -> Iterator[Problem]:
    """Commands and node classes that no plugin has, and keys that say nothing together."""
    keys = [
        name if variant is None else f"{name} --{variant}"
        for name, loaded in commands.items()
        for variant in (None, *(variant.name for variant in loaded.command.variants))
    ]
    classes = sorted(
        {
            str(node["class_type"])
            for loaded in commands.values()
            for workflow in (loaded.command.workflow, *(variant.workflow for variant in loaded.command.variants))
            for node in workflow.graph.values()
        }
    )
    for index, backend in enumerate(document.content.backends):
        place: Place = ("backends", index)
        for number, pinned in enumerate(backend.pin):
            if pinned not in keys:
                said = f"no enabled plugin has a command {pinned!r}"
                yield document.problem((*place, "pin", number), said, _meant(pinned, keys))
        for limited in backend.limits:
            if limited not in commands:
                said = f"no enabled plugin has a command {limited!r}"
                yield document.problem((*place, "limits", limited), said, _meant(limited, sorted(commands)))
        for name in backend.overrides:
            if name not in classes:
                said = f"no workflow has a node of class {name!r}"
                yield document.problem((*place, "overrides", name), said, _meant(name, classes))
        if backend.pin and backend.idle_minutes is not None:
            said = "idle_minutes says nothing beside pin: what is pinned is never let go"
            yield document.problem((*place, "idle_minutes"), said, "take one of them out")


def _meant(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known) or 'none'}"


def _unknown_defaults(document: Document, plugin: LoadedPlugin, section: PluginSection) -> list[Problem]:
    """Defaults that no command of the plugin has a parameter for."""
    known = {parameter.name for command in plugin.commands for parameter in command.parameters}
    return [
        document.problem(
            ("plugins", plugin.name, "defaults", name),
            f"{plugin.name} has no parameter {name!r}",
            _meant(name, sorted(known)),
        )
        for name in section.defaults
        if name not in known
    ]


def _merged(
    document: Document, plugin: LoadedPlugin, command: Command, section: PluginSection
) -> tuple[Command, list[Problem]]:
    problems: list[Problem] = []
    parameters: list[Parameter] = []
    for parameter in command.parameters:
        if parameter.name in section.defaults:
            place: Place = ("plugins", plugin.name, "defaults", parameter.name)
            try:
                parameter = _with_default(parameter, section.defaults[parameter.name])
            except BadArgument as error:
                problems.append(document.problem(place, str(error), f"as in {parameter.usage}"))
        parameters.append(parameter)
    changed = replace(
        command,
        parameters=tuple(parameters),
        limits=_limits(command.limits, section.limits),
        affinity=_affinity(command.affinity, section.affinity),
        variants=tuple(
            replace(variant, affinity=_affinity(variant.affinity, section.affinity)) for variant in command.variants
        ),
    )
    return changed, problems


def _with_default(parameter: Parameter, value: Value | None) -> Parameter:
    if isinstance(parameter, Seed) or "default" not in {field.name for field in fields(parameter)}:
        raise BadArgument(f"{parameter.name} cannot have a default")
    if value is None:
        raise BadArgument("it is empty")
    checked = parameter.check(value)
    return replace(parameter, default=tuple(checked) if isinstance(checked, list) else checked)  # type: ignore[call-arg]


def _limits(limits: Limits, section: LimitsSection) -> Limits:
    return replace(limits, **section.model_dump(exclude_none=True))


def _affinity(affinity: GpuAffinity, section: AffinitySection) -> GpuAffinity:
    given = section.model_dump(exclude_none=True)
    if "prefer" in given:
        given["prefer"] = tuple(given["prefer"])
    if "labels" in given:
        given["labels"] = frozenset(given["labels"])
    return replace(affinity, **given)


def _backends(document: Document, path: Path) -> tuple[BackendConfig, ...]:
    return tuple(
        BackendConfig(
            b.name,
            b.url,
            b.transport,
            b.device,
            b.vram_gb,
            labels=frozenset(b.labels),
            lookahead=b.lookahead,
            client_key_file=path.parent / b.client_key_file if b.client_key_file else None,
            isolation=b.isolation,
            traces=b.traces,
            pin=tuple(b.pin),
            limits=dict(b.limits),
            idle_minutes=b.idle_minutes,
            overrides={name: Override(given.class_type, dict(given.inputs)) for name, given in b.overrides.items()},
        )
        for b in document.content.backends
    )


def _access(document: Document) -> Access:
    access = document.content.access
    return Access(
        access.default, frozenset(access.allow_users), frozenset(access.allow_chats), frozenset(access.admins)
    )
