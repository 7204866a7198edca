"""Deployments to be looked at."""

from pathlib import Path

from runtime.doctor import Line, diagnose
from runtime.settings import Settings


def described(settings: Settings, folder: Path, *backends: str, plugins: str = "{}") -> Settings:
    """The settings with a registry of these backends and plugins."""
    listed = "".join(f"  - {{{backend}{'' if 'vram_gb' in backend else ', vram_gb: 24'}}}\n" for backend in backends)
    file = folder / "plugin_registry.yaml"
    file.write_text(
        f"version: 1\naccess: {{default: public}}\nbackends:{' []' if not backends else ''}\n{listed}"
        f"plugins: {plugins}\n",
        encoding="utf-8",
    )
    return settings.model_copy(update={"registry": file})


async def lines(settings: Settings, subject: str) -> list[Line]:
    """What the doctor says about one thing."""
    return [line async for line in diagnose(settings, environment={}) if line.subject == subject]
