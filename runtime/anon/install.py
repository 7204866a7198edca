"""Putting the official `anon` where the SDK looks for it, from wherever it can be had, and only if it runs here."""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runtime.anon.address import suffix_of
from runtime.anon.binary import SDK_PLACE
from runtime.anon.errors import InstallFailed
from runtime.anon.package import BINARY, COMPANIONS

VERSION_SECONDS = 20.0
_VERSION = re.compile(r"^Anon version (\d\S*?)\.?$", re.MULTILINE)


class Origin(Protocol):
    """Where the binary comes from."""

    def fetch(self, into: Path) -> None:
        """Put `anon`, and what belongs beside it, into an empty folder. Raises: InstallFailed."""


@dataclass(frozen=True, slots=True)
class FromPath:
    """A binary on this machine: the file itself, or the folder that holds it."""

    path: Path

    def fetch(self, into: Path) -> None:
        """Copy it with its companions. Raises: InstallFailed."""
        binary = (self.path / BINARY if self.path.is_dir() else self.path).resolve()
        if not binary.is_file():
            raise InstallFailed(f"there is no file {binary}")
        shutil.copyfile(binary, into / BINARY)
        for name in COMPANIONS:
            if binary.with_name(name).is_file():
                shutil.copyfile(binary.with_name(name), into / name)


@dataclass(frozen=True, slots=True)
class Installed:
    """The binary in its place. is_new: whether it was put there just now."""

    binary: Path
    version: str
    is_new: bool

    @property
    def suffix(self) -> str:
        """How the addresses end that it knows."""
        return suffix_of(self.version)


def on_path() -> FromPath | None:
    """The `anon` that a shell would start, if there is one."""
    found = shutil.which(BINARY)
    return FromPath(Path(found)) if found else None


def install(origin: Origin, *, force: bool = False) -> Installed:
    """Put the binary of `origin` where the SDK looks for it, below the home folder.

    One that is there and runs is left alone unless `force`. Files are replaced one by one, each whole, the binary
    last: whoever starts it meanwhile gets the old or the new one.

    Raises: InstallFailed, and what was there before is there still.
    """
    place = Path.home() / SDK_PLACE
    if not force and place.is_file():
        try:
            return Installed(place, version_of(place), is_new=False)
        except InstallFailed:
            pass
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".install-") as folder:
            staging = Path(folder)
            origin.fetch(staging)
            for name in (*COMPANIONS, BINARY):
                if (staging / name).exists():
                    (staging / name).chmod(0o644 if name.startswith("geoip") else 0o755)
            version = version_of(staging / BINARY)
            for name in (*COMPANIONS, BINARY):
                if (staging / name).exists():
                    os.replace(staging / name, place.with_name(name))
    except OSError as error:
        raise InstallFailed(f"{place.parent}: {error.strerror}") from error
    return Installed(place, version, is_new=True)


def version_of(binary: Path) -> str:
    """What the binary says its version is ("0.4.9.11-live"). Raises: InstallFailed if it does not run or is no anon."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=VERSION_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InstallFailed(f"the binary does not run on this machine: {reason}") from error
    version = _VERSION.search(said)
    if version is None:
        raise InstallFailed("the binary is not anon: it does not tell its version")
    return version[1]
