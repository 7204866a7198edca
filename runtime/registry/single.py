"""Plugins that are one file each, in a folder: for a quick start, with nothing to package or install.

A file is a plugin by its own name. Its module is made anew each time the registry is read, so that a change takes
effect with the next reading, and what runs keeps the old one.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True, slots=True)
class PluginFile:
    """What an entry point is for an installed plugin."""

    name: str
    path: Path
    dist: None = None

    @property
    def value(self) -> str:
        return self.path.name

    @property
    def version(self) -> str:
        """The beginning of the file's SHA-256: another content is another version. Empty if it cannot be read."""
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()[:12]
        except OSError:
            return ""

    def load(self) -> ModuleType:
        """A fresh module. Raises: whatever the file raises."""
        name = f"veilrun_single_{self.name.replace('-', '_')}_{self.version}"
        spec = importlib.util.spec_from_file_location(name, self.path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{self.path.name} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and pickling look a class's module up there
        spec.loader.exec_module(module)
        return module


def plugin_files(folder: Path | None) -> Mapping[str, PluginFile]:
    """Every `name.py` of the folder but those that begin with _ or a dot, by name."""
    if folder is None or not folder.is_dir():
        return {}
    return {
        path.stem: PluginFile(path.stem, path)
        for path in sorted(folder.glob("*.py"))
        if not path.name.startswith(("_", ".")) and path.is_file()
    }
