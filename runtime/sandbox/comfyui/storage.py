"""The input, output and temp folders of a server, and the rules by which ComfyUI names files in them."""

import mimetypes
import os
import shutil
import time
from pathlib import Path
from typing import Literal, get_args

FolderType = Literal["input", "output", "temp"]


class OutsideFolder(Exception):
    """A path that would leave its folder."""


class Storage:
    """Three folders below `root`. Files outlive a restart of the server, except those in temp."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        for kind in get_args(FolderType):
            (self.root / kind).mkdir(parents=True, exist_ok=True)

    def folder(self, kind: str) -> Path | None:
        """The folder of that type, None if there is no such type."""
        return self.root / kind if kind in get_args(FolderType) else None

    def wipe_temp(self) -> None:
        shutil.rmtree(self.root / "temp", ignore_errors=True)
        (self.root / "temp").mkdir()

    def delete_outputs(self) -> None:
        """Remove every file in output, as an operator cleaning up by hand would."""
        shutil.rmtree(self.root / "output")
        (self.root / "output").mkdir()

    def input_pictures(self) -> list[str]:
        """Names that the combo of LoadImage offers: pictures at the top of input, not those in its subfolders."""
        return sorted(
            path.name
            for path in (self.root / "input").iterdir()
            if path.is_file() and (mimetypes.guess_type(path.name)[0] or "").startswith("image/")
        )

    def annotated(self, name: str) -> tuple[str, Path | None]:
        """Split "u.png [temp]" into name and folder; the folder is None where no annotation is."""
        for kind in get_args(FolderType):
            mark = f"[{kind}]"
            if name.endswith(mark):
                return name[: -len(mark) - 1], self.root / kind
        return name, None

    def input_path(self, name: str) -> Path:
        """Where LoadImage reads `name`: below input, or below the folder that its annotation names."""
        plain, folder = self.annotated(name)
        return (folder or self.root / "input") / plain

    def inside(self, folder: Path, *parts: str) -> Path:
        """The path below `folder`.

        Raises: OutsideFolder if the parts lead out of it.
        """
        path = Path(os.path.abspath(os.path.join(folder, *parts)))
        if os.path.commonpath((folder, path)) != str(folder):
            raise OutsideFolder(path)
        return path

    def next_output(self, prefix: str, width: int, height: int, kind: FolderType = "output") -> "NumberedFiles":
        """Names for the next files of a save node. "job/abc/out" gives subfolder "job/abc"; numbers go by prefix.

        Raises: OutsideFolder if the prefix leads out of the folder.
        """
        prefix = os.path.normpath(_filled(prefix, width, height))
        subfolder, stem = os.path.dirname(prefix), os.path.basename(prefix)
        folder = self.inside(self.root / kind, subfolder)
        folder.mkdir(parents=True, exist_ok=True)
        taken = [_number(path.name, stem) for path in folder.iterdir()]
        return NumberedFiles(folder, stem, subfolder, kind, max(taken, default=0) + 1)


class NumberedFiles:
    """Paths `stem_00001_.png`, `stem_00002_.png`, ... and how history names them."""

    def __init__(self, folder: Path, stem: str, subfolder: str, kind: FolderType, first: int) -> None:
        self._folder, self._stem, self._subfolder, self._kind, self._next = folder, stem, subfolder, kind, first

    def take(self, extension: str, batch_number: int = 0) -> tuple[Path, dict[str, str]]:
        """The next path and its entry {filename, subfolder, type} for the outputs."""
        stem = self._stem.replace("%batch_num%", str(batch_number))
        name = f"{stem}_{self._next:05}_.{extension}"
        self._next += 1
        return self._folder / name, {"filename": name, "subfolder": self._subfolder, "type": self._kind}


def _number(name: str, stem: str) -> int:
    """The number in `stem_00007_.png`; 0 for a file of another prefix."""
    head, rest = name[: len(stem) + 1], name[len(stem) + 1 :]
    digits = rest.split("_")[0]
    return int(digits) if head == f"{stem}_" and digits.isdecimal() else 0


def _filled(prefix: str, width: int, height: int) -> str:
    if "%" not in prefix:
        return prefix
    now = time.localtime()
    values = {
        "width": str(width),
        "height": str(height),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    for name, value in values.items():
        prefix = prefix.replace(f"%{name}%", value)
    return prefix
