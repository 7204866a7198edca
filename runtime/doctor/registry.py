"""Whether the registry file and the plugins it enables can be used."""

import asyncio

from runtime.doctor.aside import aside
from runtime.doctor.line import Line, fault, ok, warning
from runtime.registry import Registry, RegistryInvalid, configured_registry
from runtime.settings import Settings

SUBJECT = "registry"
SECONDS = 60.0
"""For reading the file and importing every plugin."""


async def read_registry(settings: Settings, seconds: float = SECONDS) -> tuple[Registry | None, list[Line]]:
    """The registry, None if it cannot be used, and what there is to say about it."""
    try:
        async with asyncio.timeout(seconds):
            registry = await aside(lambda: configured_registry(settings))
    except RegistryInvalid as error:
        return None, [fault(SUBJECT, str(problem), "correct the file; docs/registry.md") for problem in error.problems]
    except TimeoutError:
        text = f"not read within {seconds:g} s: the import of a plugin hangs, most likely"
        return None, [fault(SUBJECT, text, "find which with `veilrun plugins disable NAME`, one after the other")]
    except Exception as error:  # noqa: BLE001 - a plugin's code may raise anything, and the other checks go on
        return None, [fault(SUBJECT, f"not read ({type(error).__name__})", "see `veilrun plugins check --traceback`")]
    lines = [ok(SUBJECT, f"backends: {len(registry.backends)}, commands: {len(registry.commands)}")]
    lines += [warning(SUBJECT, str(doubt), "correct the file if it is not meant so") for doubt in registry.warnings]
    lines += [
        fault(SUBJECT, f"plugin {plugin.name}: {plugin.error}", "see `veilrun plugins check --traceback`")
        for plugin in registry.plugins
        if plugin.enabled and plugin.error
    ]
    return registry, lines
