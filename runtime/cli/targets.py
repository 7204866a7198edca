"""What a command that needs no database works on: the commands there are, and a backend by its name or address."""

import tempfile
from pathlib import Path

from runtime.api import VeilrunError
from runtime.registry import BackendConfig, Registry, load_registry
from runtime.registry.plugins import installed_plugins
from runtime.transport.address import is_hidden_service, parse_address


class NoSuchCommand(VeilrunError):
    """No enabled plugin offers this command."""


class NoBackend(VeilrunError):
    """Nobody said which ComfyUI is to run it."""


def everything_installed(folder: Path | None = None) -> Registry:
    """A registry without backends in which every installed plugin is enabled, for where there is no registry file.

    So is every single-file plugin of `folder`.
    """
    lines = ["version: 1", "plugins:", *(f"  {name}: {{enabled: true}}" for name in sorted(installed_plugins()))]
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "plugin_registry.yaml"
        path.write_text("\n".join(lines), encoding="utf-8")
        return load_registry(path, folder=folder)


def backend_of(registry: Registry, wanted: str | None) -> BackendConfig:
    """The backend of this name or address, None = the first. Raises: NoBackend."""
    if wanted is None:
        if not registry.backends:
            raise NoBackend("say which ComfyUI is to run it: --backend http://127.0.0.1:8188")
        return registry.backends[0]
    named = registry.backend(wanted)
    if named is None and "://" not in wanted:
        known = ", ".join(backend.name for backend in registry.backends) or "none"
        raise NoBackend(
            f"{wanted!r} is neither an address like http://127.0.0.1:8188 nor a backend (there are: {known})"
        )
    if named is not None:
        return named
    address = wanted.rstrip("/")
    return BackendConfig(address, address, "anon" if is_hidden_service(parse_address(address)) else "direct")
