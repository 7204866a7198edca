"""ComfyUI's folders on this machine, and the only way in which the gate deletes anything there."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runtime.gate.files import FileRef


@dataclass(frozen=True, slots=True)
class Folders:
    """Where ComfyUI keeps files of each kind; None = not known here, so nothing of that kind is deleted."""

    input: Path | None = None
    output: Path | None = None
    temp: Path | None = None

    @classmethod
    def of(cls, comfyui_dir: Path) -> "Folders":
        """The folders of a ComfyUI that was started without --input-directory and its like."""
        return cls(comfyui_dir / "input", comfyui_dir / "output", comfyui_dir / "temp")

    def path_of(self, ref: FileRef) -> Path | None:
        """The file, if it is a regular one that really lies in its folder: no "..", no link that leads out."""
        root = {"input": self.input, "output": self.output, "temp": self.temp}.get(ref.kind)
        if root is None or not ref.name:
            return None
        with contextlib.suppress(OSError, ValueError):
            base = root.resolve()
            path = base / ref.subfolder / ref.name
            if path.parent.resolve().is_relative_to(base) and path.is_file() and not path.is_symlink():
                return path
        return None

    def delete(self, refs: Iterable[FileRef]) -> int:
        """Delete these files, and folders of theirs that are empty then. How many there were."""
        count = 0
        for ref in refs:
            path = self.path_of(ref)
            if path is None:
                continue
            path.unlink(missing_ok=True)
            count += 1
            if ref.subfolder:
                self._prune(path.parent, depth=len(Path(ref.subfolder).parts))
        return count

    def _prune(self, folder: Path, depth: int) -> None:
        for _ in range(depth):
            try:
                folder.rmdir()
            except OSError:  # not empty
                return
            folder = folder.parent
