"""The project under test: which plugins it offers, found by its pyproject.toml, installed or not."""

import importlib
import importlib.metadata
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.registry import Registry, load_registry
from runtime.registry.plugins import GROUP, installed_plugins

SHIPPED = ("flux", "qwen", "wan", "sd3")


@dataclass(frozen=True)
class Project:
    """root: where its pyproject.toml is. own: plugin name -> module, as that file says."""

    root: Path
    own: Mapping[str, str]
    name: str = "under-test"
    version: str = "0"

    @classmethod
    def at(cls, root: Path) -> "Project":
        """The project in this folder; one that offers nothing if it says nothing."""
        try:
            content: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError):
            return cls(root, {})
        project = content.get("project", {})
        own = project.get("entry-points", {}).get(GROUP, {})
        return cls(root, own, project.get("name", "under-test"), project.get("version", "0"))

    @property
    def paths(self) -> Sequence[Path]:
        """Where its modules may be imported from."""
        return [folder for folder in (self.root, self.root / "src") if folder.is_dir()]

    def make_importable(self, overlay: Path) -> Sequence[Path]:
        """See that its plugins are found here, and by processes that have these folders in their PYTHONPATH.

        overlay: an empty folder, for the metadata of a project that is not installed.
        """
        installed = installed_plugins()
        if all(name in installed for name in self.own):
            return []
        metadata = overlay / f"{self.name.replace('-', '_')}-{self.version}.dist-info"
        metadata.mkdir(parents=True)
        metadata.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n", encoding="utf-8"
        )
        lines = [f"[{GROUP}]", *(f"{name} = {module}" for name, module in self.own.items())]
        metadata.joinpath("entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        folders = [overlay, *self.paths]
        sys.path[:0] = [str(folder) for folder in folders if str(folder) not in sys.path]
        importlib.invalidate_caches()
        return folders

    def enabled(self) -> Sequence[str]:
        """The plugins that a test's bot has: the project's own first, then the shipped ones; without own ones, all that
        are installed."""
        installed = installed_plugins()
        first = list(self.own) or sorted(name for name in installed if name not in SHIPPED)
        return [*first, *(name for name in SHIPPED if name in installed and name not in first)]

    def registry_text(self, *, url: str | None = None) -> str:
        """A registry file that lets everybody use everything, on the backend at `url`."""
        lines = ["version: 1", "access: {default: public}"]
        if url is not None:
            lines += ["backends:", f'  - {{name: sandbox, url: "{url}", device: sandbox, vram_gb: 1000}}']
        lines += ["plugins:", *(f"  {name}: {{enabled: true}}" for name in self.enabled())]
        return "\n".join(lines) + "\n"

    def registry(self, folder: Path, *, url: str | None = None) -> Registry:
        """The registry of `registry_text`, written into `folder`. Raises: AssertionError if an own plugin is faulty."""
        path = folder / "plugin_registry.yaml"
        path.write_text(self.registry_text(url=url), encoding="utf-8")
        registry = load_registry(path)
        faulty = [state for state in registry.plugins if state.enabled and state.error and state.name not in SHIPPED]
        if faulty:
            raise AssertionError(
                "\n".join(
                    f"plugin {state.name} is not active: {state.error}\n{state.traceback or ''}" for state in faulty
                )
            )
        return registry
