"""ComfyUI's folders on this machine, and the only way in which the gate deletes anything there."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from runtime.gate.errors import FoldersUnusable
from runtime.gate.files import KINDS, FileRef

log = structlog.get_logger("veilrun.gate")

COARSE_SECONDS = 2.0
"""How coarse the times of files are on some file systems."""


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

    def check(self) -> None:
        """Whether files can be deleted here. The temp folder may come later: ComfyUI makes it when it needs one.

        Raises: FoldersUnusable.
        """
        for kind, folder in self._known().items():
            if folder.is_dir():
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise FoldersUnusable(
                        f"{folder}: files there cannot be deleted by this user; run as ComfyUI's user"
                    )
            elif kind != "temp":
                raise FoldersUnusable(f"{folder} is no folder; name the one in which ComfyUI keeps its {kind} files")

    def unknown(self) -> list[str]:
        """The kinds whose files stay."""
        return [kind for kind in KINDS if kind not in self._known()]

    def names(self, kind: str) -> frozenset[str]:
        """What lies in the folder itself now; nothing if it is not known."""
        folder = self._known().get(kind)
        with contextlib.suppress(OSError):
            return frozenset(os.listdir(folder)) if folder is not None else frozenset()
        return frozenset()

    def path_of(self, ref: FileRef) -> Path | None:
        """The file, if it is a regular one that really lies in its folder: no "..", no link that leads out."""
        root = self._known().get(ref.kind)
        if root is None or not ref.name:
            return None
        with contextlib.suppress(OSError, ValueError):
            base = root.resolve()
            path = base / ref.subfolder / ref.name
            if path.parent.resolve().is_relative_to(base) and path.is_file() and not path.is_symlink():
                return path
        return None

    def is_older(self, ref: FileRef, moment: float) -> bool:
        """Whether it is known that the file was there before `moment`, in seconds since the epoch.

        By the time of its last change on this disk, which a copy does not inherit.
        """
        path = self.path_of(ref)
        if path is None:
            return False
        with contextlib.suppress(OSError):
            stat = path.stat()
            return max(stat.st_ctime, stat.st_mtime) < moment - COARSE_SECONDS
        return False

    def delete(self, refs: Iterable[FileRef]) -> int:
        """Delete these files, and folders of theirs that are empty then. How many there were."""
        count = 0
        for ref in refs:
            path = self.path_of(ref)
            if path is None:
                continue
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("file not deleted", kind=ref.kind, reason=error.strerror)
                continue
            count += 1
            if ref.subfolder:
                self._prune(path.parent, depth=len(Path(ref.subfolder).parts))
        return count

    def _known(self) -> dict[str, Path]:
        folders = {"input": self.input, "output": self.output, "temp": self.temp}
        return {kind: folder for kind, folder in folders.items() if folder is not None}

    def _prune(self, folder: Path, depth: int) -> None:
        for _ in range(depth):
            try:
                folder.rmdir()
            except OSError:  # not empty
                return
            folder = folder.parent
