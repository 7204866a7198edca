"""Whether the registry file and the plugins it enables can be used."""

from runtime.doctor.line import Line, fault, ok, warning
from runtime.registry import Registry, RegistryInvalid, load_registry
from runtime.settings import Settings

SUBJECT = "registry"


def read_registry(settings: Settings) -> tuple[Registry | None, list[Line]]:
    """The registry, None if it cannot be used, and what there is to say about it."""
    try:
        registry = load_registry(settings.registry)
    except RegistryInvalid as error:
        return None, [fault(SUBJECT, str(problem), "correct the file; docs/registry.md") for problem in error.problems]
    lines = [ok(SUBJECT, f"backends: {len(registry.backends)}, commands: {len(registry.commands)}")]
    lines += [warning(SUBJECT, str(doubt), "correct the file if it is not meant so") for doubt in registry.warnings]
    if not registry.backends:
        lines.append(warning(SUBJECT, "no backend: every job will wait", "add one under `backends`"))
    lines += [
        fault(SUBJECT, f"plugin {plugin.name}: {plugin.error}", "see `veilrun plugins check --traceback`")
        for plugin in registry.plugins
        if plugin.enabled and plugin.error
    ]
    return registry, lines
